//! Whether the stores that are configured can be shared by as many processes as are needed.

use lucida_core::config::Part;

use super::finding::Findings;
use super::loaded::Config;
use crate::factories::{Factories, Selection};
use crate::registry::Registry;
use crate::schema::join;

/// A part that only one process at a time can use.
struct Alone {
    /// The key that chose it.
    path: String,
    /// What it is, in words.
    what: String,
    /// What could be chosen instead, in words.
    instead: String,
}

impl Config {
    /// Checks that what `lucida serve` takes in is embedded by somebody: by itself, or by a worker that shares its
    /// stores.
    ///
    /// # Errors
    /// Each store that no worker can share, where the server leaves the work to workers.
    pub fn check_server(&self, registry: &Registry) -> Result<(), Findings> {
        if self.ingest.workers > 0 {
            return Ok(());
        }
        let refuse = |Alone { what, instead, .. }| {
            let message = format!(
                "is 0, and {what} is for one process at a time, so no worker could embed what this server takes in: \
                 set it to 1 or more, or choose {instead}"
            );
            self.finding("ingest.workers", message)
        };
        Findings::check(self.alone(registry).into_iter().map(refuse).collect())
    }

    /// Checks that `lucida worker` can do something with it.
    ///
    /// # Errors
    /// Each store that it can't share with a server; that it would work on nothing.
    pub fn check_worker(&self, registry: &Registry) -> Result<(), Findings> {
        let mut findings = Vec::new();
        if self.ingest.workers == 0 {
            let message = "is 0, so this worker would do nothing: set it, or pass --workers";
            findings.push(self.finding("ingest.workers", message));
        }
        findings.extend(self.alone(registry).into_iter().map(|alone| {
            let Alone { path, what, instead } = alone;
            let message = format!(
                "{what} is for one process at a time, so a worker can't share it with a server: choose {instead}, or let \
                 the server work itself (ingest.workers)"
            );
            self.finding(&path, message)
        }));
        Findings::check(findings)
    }

    fn alone(&self, registry: &Registry) -> Vec<Alone> {
        let parts = [
            alone(&registry.storage, &self.storage),
            alone(&registry.metadata, &self.metadata),
            alone(&registry.index, &self.index),
            alone(&registry.queue, &self.queue),
        ];
        parts.into_iter().flatten().collect()
    }
}

fn alone<P: Part + ?Sized>(factories: &Factories<P>, selected: &Selection) -> Option<Alone> {
    let type_name = selected.type_name();
    if factories.get(type_name)?.shared_by_processes() {
        return None;
    }
    let role = P::ROLE;
    let shared = factories.shared_names().join(", ");
    Some(Alone {
        path: join(role, "type"),
        what: format!("{role} type `{type_name}`"),
        instead: if shared.is_empty() {
            format!(
                "{} {role} type that processes can share, of which this build has none",
                article(role)
            )
        } else {
            format!(
                "{} {role} type that processes can share ({shared})",
                article(role)
            )
        },
    })
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    }
}
