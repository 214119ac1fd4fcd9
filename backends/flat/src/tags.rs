//! Owners and tags as numbers: each word once in memory, however many points have it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Words and their numbers.
#[derive(Debug, Default)]
pub(crate) struct Words {
    numbers: HashMap<Box<str>, u32>,
}

impl Words {
    /// Returns the number of a word, a new one where it is new.
    pub(crate) fn intern(&mut self, word: &str) -> u32 {
        if let Some(number) = self.numbers.get(word) {
            return *number;
        }
        let number =
            u32::try_from(self.numbers.len()).expect("fewer words than points, which are counted in 32 bits");
        self.numbers.insert(word.into(), number);
        number
    }

    /// Returns the number of a word that some point has had.
    pub(crate) fn get(&self, word: &str) -> Option<u32> {
        self.numbers.get(word).copied()
    }
}

/// Sets of tags and their numbers; sets that no point has any more make room for others.
#[derive(Debug)]
pub(crate) struct TagSets {
    words: Words,
    numbers: HashMap<Arc<[u32]>, u32>,
    sets: Vec<Entry>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Entry {
    /// In ascending order.
    tags: Arc<[u32]>,
    users: u32,
}

/// The number of the empty set.
pub(crate) const NO_TAGS: u32 = 0;

impl Default for TagSets {
    fn default() -> Self {
        let empty: Arc<[u32]> = Arc::new([]);
        Self {
            words: Words::default(),
            numbers: HashMap::from([(Arc::clone(&empty), NO_TAGS)]),
            // Never freed.
            sets: vec![Entry {
                tags: empty,
                users: 1,
            }],
            free: Vec::new(),
        }
    }
}

impl TagSets {
    /// Returns the number of a set, which has `users` more points from now on.
    pub(crate) fn acquire(&mut self, tags: &BTreeSet<String>, users: u32) -> u32 {
        let mut set: Vec<u32> = tags.iter().map(|tag| self.words.intern(tag)).collect();
        set.sort_unstable();
        if let Some(number) = self.numbers.get(set.as_slice()) {
            self.sets[*number as usize].users += users;
            return *number;
        }
        let tags: Arc<[u32]> = set.into();
        let entry = Entry {
            tags: Arc::clone(&tags),
            users,
        };
        let number = if let Some(number) = self.free.pop() {
            self.sets[number as usize] = entry;
            number
        } else {
            self.sets.push(entry);
            u32::try_from(self.sets.len() - 1).expect("fewer sets than points, which are counted in 32 bits")
        };
        self.numbers.insert(tags, number);
        number
    }

    /// Notes that so many more points have a set.
    pub(crate) fn add_users(&mut self, number: u32, users: u32) {
        self.sets[number as usize].users += users;
    }

    /// Notes that a point no longer has a set.
    pub(crate) fn release(&mut self, number: u32) {
        if number == NO_TAGS {
            return;
        }
        let entry = &mut self.sets[number as usize];
        entry.users -= 1;
        if entry.users == 0 {
            self.numbers.remove(&entry.tags);
            entry.tags = Arc::new([]);
            self.free.push(number);
        }
    }

    /// Returns which sets have all of these tags, by their numbers; `None` where no point has one of the tags.
    pub(crate) fn with_all(&self, tags: &[String]) -> Option<NumberSet> {
        let mut wanted = tags
            .iter()
            .map(|tag| self.words.get(tag))
            .collect::<Option<Vec<u32>>>()?;
        wanted.sort_unstable();
        wanted.dedup();
        let mut having = NumberSet::below(self.sets.len());
        for (number, entry) in self.sets.iter().enumerate() {
            if entry.users > 0 && wanted.iter().all(|tag| entry.tags.binary_search(tag).is_ok()) {
                having.insert(number);
            }
        }
        Some(having)
    }
}

/// A set of small numbers.
#[derive(Debug)]
pub(crate) struct NumberSet(Vec<u64>);

impl NumberSet {
    fn below(end: usize) -> Self {
        Self(vec![0; end.div_ceil(64)])
    }

    fn insert(&mut self, number: usize) {
        self.0[number / 64] |= 1 << (number % 64);
    }

    /// Returns whether a number is in the set.
    #[inline]
    pub(crate) fn contains(&self, number: u32) -> bool {
        let number = number as usize;
        self.0
            .get(number / 64)
            .is_some_and(|word| word >> (number % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(tags: &[&str]) -> BTreeSet<String> {
        tags.iter().map(|tag| (*tag).to_owned()).collect()
    }

    #[test]
    fn sets_are_found_by_all_of_the_tags() {
        let mut sets = TagSets::default();
        let sea = sets.acquire(&set(&["sea"]), 1);
        let both = sets.acquire(&set(&["summer", "sea"]), 1);
        let having = sets.with_all(&["sea".into(), "sea".into()]).unwrap();
        assert!(having.contains(sea) && having.contains(both) && !having.contains(NO_TAGS));
        let having = sets.with_all(&["sea".into(), "summer".into()]).unwrap();
        assert!(!having.contains(sea) && having.contains(both));
        assert!(sets.with_all(&["winter".into()]).is_none());
    }

    #[test]
    fn a_set_that_no_point_has_makes_room_for_another() {
        let mut sets = TagSets::default();
        let first = sets.acquire(&set(&["a"]), 2);
        assert_eq!(sets.acquire(&set(&["a"]), 1), first);
        for _ in 0..3 {
            assert!(sets.with_all(&["a".into()]).unwrap().contains(first));
            sets.release(first);
        }
        assert!(!sets.with_all(&["a".into()]).unwrap().contains(first));
        assert_eq!(sets.acquire(&set(&["b"]), 1), first);
        assert!(sets.with_all(&["b".into()]).unwrap().contains(first));
    }
}
