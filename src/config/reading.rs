//! From the merged tree to the typed configuration: the checks that need the whole.

use lucida_core::config::{self as core_config, Part, Settings};
use lucida_core::{Error, Plugin};
use serde_json::Value;

use super::finding::{Finding, Findings};
use super::node::{Node, join};
use super::settings::{AuthSettings, ServerSettings};
use super::shape::Shape;
use super::{Chosen, Config, check};
use crate::registry::{Factories, Registry};

/// A merged tree that is being turned into a [`Config`].
pub(super) struct Reading<'a> {
    tree: &'a Node,
    findings: Vec<Finding>,
}

impl<'a> Reading<'a> {
    /// Begins with what was found in the layers.
    pub(super) const fn new(tree: &'a Node, findings: Vec<Finding>) -> Self {
        Self { tree, findings }
    }

    /// Checks the whole, and gives the configuration or everything that is wrong.
    pub(super) fn config(mut self, registry: &Registry, shape: &Shape) -> Result<Config, Findings> {
        let mut missing = Vec::new();
        check::missing(self.tree, shape, "", &mut missing);
        for finding in missing {
            self.add(finding);
        }
        let server: Option<ServerSettings> = self.section("server");
        let auth: Option<AuthSettings> = self.section("auth");
        self.check_exposure(server.as_ref(), auth.as_ref());
        let ingest = self.section("ingest");
        let worker = self.section("worker");
        let search = self.section("search");
        let log = self.section("log");
        let resilience = self.section("resilience");
        let storage = self.part(&registry.storage);
        let metadata = self.part(&registry.metadata);
        let index = self.part(&registry.index);
        let queue = self.part(&registry.queue);
        let embedder = self.part(&registry.embedder);
        let plugins = self.plugins(&registry.plugins);
        let config = || {
            Some(Config {
                server: server?,
                auth: auth?,
                ingest: ingest?,
                worker: worker?,
                search: search?,
                log: log?,
                resilience: resilience?,
                storage: storage?,
                metadata: metadata?,
                index: index?,
                queue: queue?,
                embedder: embedder?,
                plugins: plugins?,
                tree: self.tree.clone(),
                shape: shape.clone(),
            })
        };
        match config() {
            Some(config) if self.findings.is_empty() => Ok(config),
            _ => Err(Findings::new(self.findings)),
        }
    }

    /// Adds a finding, unless an earlier one about the same key has probably caused it.
    fn add(&mut self, finding: Finding) {
        if !self
            .findings
            .iter()
            .any(|earlier| earlier.overlaps(finding.path()))
        {
            self.findings.push(finding);
        }
    }

    fn fail(&mut self, table: &str, error: &Error) {
        let path = join(table, error.field().unwrap_or_default());
        let origin = self.tree.origin_of(&path);
        let message = error.to_string();
        // Some name their key themselves.
        let message = message
            .strip_prefix(&path)
            .map_or(message.as_str(), str::trim_start);
        self.add(Finding::new(path, origin, message));
    }

    fn section<S: Settings>(&mut self, name: &str) -> Option<S> {
        let settings = self.tree.get(name)?.to_json();
        core_config::parse(&settings)
            .inspect_err(|error| self.fail(name, error))
            .ok()
    }

    fn part<P: Part + ?Sized>(&mut self, factories: &Factories<P>) -> Option<Chosen> {
        let part = self.tree.get(P::ROLE)?;
        let type_name = part.get("type")?.text()?;
        let Some(factory) = factories.get(type_name) else {
            let message = check::unknown_type(&factories.types(), type_name);
            let finding = Finding::new(join(P::ROLE, "type"), check::origin_of_type(part), message);
            // Not through `add`: a wrong key beside it hasn't caused this.
            self.findings.push(finding);
            return None;
        };
        let path = join(P::ROLE, type_name);
        let settings = part
            .get(type_name)
            .map_or_else(|| Value::Object(serde_json::Map::new()), Node::to_json);
        if let Err(error) = factory.check(&settings) {
            self.fail(&path, &error);
        }
        Some(Chosen {
            path,
            type_name: type_name.to_owned(),
            settings,
        })
    }

    fn plugins(&mut self, factories: &Factories<dyn Plugin>) -> Option<Vec<Chosen>> {
        let role = <dyn Plugin>::ROLE;
        let tree = self.tree;
        let mut chosen = Vec::new();
        for (index, plugin) in tree.get(role)?.items().iter().enumerate() {
            let path = format!("{role}[{index}]");
            // What is wrong with these was found with their layer.
            let type_name = plugin.get("type")?.text()?;
            let factory = factories.get(type_name)?;
            let mut settings = plugin.to_json();
            if let Some(settings) = settings.as_object_mut() {
                settings.remove("type");
            }
            if let Err(error) = factory.check(&settings) {
                self.fail(&path, &error);
            }
            chosen.push(Chosen {
                path,
                type_name: type_name.to_owned(),
                settings,
            });
        }
        Some(chosen)
    }

    /// A server without keys gives everything to whoever reaches it, so only this machine may.
    fn check_exposure(&mut self, server: Option<&ServerSettings>, auth: Option<&AuthSettings>) {
        let (Some(server), Some(auth)) = (server, auth) else {
            return;
        };
        if auth.keys.is_empty() && !server.listen.is_loopback() {
            let path = "server.listen";
            let message = format!(
                "`{}` is beyond loopback, and no key is configured: add one in [[auth.keys]], or listen on 127.0.0.1",
                server.listen
            );
            self.add(Finding::new(path, self.tree.origin_of(path), message));
        }
    }
}
