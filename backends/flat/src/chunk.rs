//! A few thousand points of a collection in memory.
//!
//! A search takes the chunks as they are and keeps them until it is done; a write that comes meanwhile copies what it
//! changes of the few chunks that it touches. So neither waits for the other, and a search sees one state.

use std::sync::Arc;

use crate::codes::Codes;
use crate::columns::Columns;
use crate::sketch::{Bits, Sketch};

/// Points with neighbouring slots.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chunk {
    pub(crate) columns: Arc<Columns>,
    pub(crate) codes: Arc<Codes>,
    /// There once the collection has a sketch.
    pub(crate) bits: Option<Arc<Bits>>,
}

impl Chunk {
    /// Writes a code, and its bits where the collection has a sketch.
    pub(crate) fn set_code(&mut self, place: usize, scale: f32, values: &[i8], sketch: Option<&Sketch>) {
        let dimensions = values.len();
        let same = place < self.codes.scales.len() && self.codes.get(place, dimensions) == (scale, values);
        if !same {
            Arc::make_mut(&mut self.codes).set(place, scale, values);
        }
        let missing = self.bits.as_ref().is_none_or(|bits| bits.len() <= place);
        if let Some(sketch) = sketch.filter(|_| !same || missing) {
            let bits = Arc::make_mut(self.bits.get_or_insert_default());
            sketch.set(bits, place, scale, values);
        }
    }
}
