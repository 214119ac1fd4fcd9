//! `lucida config check`: whether what a configuration names on this machine exists and can be used.

use lucida_core::config::{Inspection, Part, local};
use lucida_core::{BuildContext, Error};

use super::finding::{Finding, Findings};
use super::loaded::{Config, ModelSelection};
use super::reading::join_field;
use crate::factories::{Factories, Selection};
use crate::http::Tls;
use crate::registry::Registry;

impl Config {
    /// Checks the folders, files and models that it names. Opens no socket, loads no model, and makes and changes nothing.
    ///
    /// # Errors
    /// Everything that is missing, in the way, or not readable or writable for this user.
    pub fn check_local(&self, registry: &Registry, context: &BuildContext) -> Result<(), Findings> {
        let mut findings = Vec::new();
        if let Err(error) = self.auth.load() {
            findings.push(self.local_finding("", &error));
        }
        if let Some(files) = self.server.tls_files()
            && let Err(error) = Tls::load(files)
        {
            findings.push(self.local_finding("", &error));
        }
        if let Err(error) = local::writable_folder("ingest.spool_dir", &self.ingest.spool_dir) {
            findings.push(self.local_finding("", &error));
        }
        findings.extend(self.local_findings(&registry.storage, &self.storage, context));
        findings.extend(self.local_findings(&registry.metadata, &self.metadata, context));
        findings.extend(self.local_findings(&registry.index, &self.index, context));
        findings.extend(self.local_findings(&registry.queue, &self.queue, context));
        findings.extend(self.local_findings(&registry.embedder, &self.embedder, context));
        for ModelSelection { model, selection } in &self.models {
            let mut context = context.serving_as(&model.name);
            if context.inspection.is_some() {
                context = context.inspecting(Inspection {
                    max_bytes: self.server.models_memory(),
                });
            }
            findings.extend(self.local_findings(&registry.embedder, selection, &context));
        }
        for plugin in &self.plugins {
            findings.extend(self.local_findings(&registry.plugins, plugin, context));
        }
        Findings::check(findings)
    }

    fn local_findings<P: Part + ?Sized>(
        &self,
        factories: &Factories<P>,
        selected: &Selection,
        context: &BuildContext,
    ) -> Vec<Finding> {
        let errors = factories.check_local(selected, context);
        errors
            .iter()
            .map(|error| self.local_finding(selected.path(), error))
            .collect()
    }

    fn local_finding(&self, table: &str, error: &Error) -> Finding {
        self.finding(
            &join_field(table, error.field().unwrap_or_default()),
            error.to_string(),
        )
    }
}
