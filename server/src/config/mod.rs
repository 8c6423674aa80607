//! Configuration: one strict YAML file in, one checked [`Config`] out, or everything that is wrong with it at once.
//!
//! # Layout
//!
//! * `spot`: strict reading of the file as a tree that knows its places.
//! * `secret`: secrets by environment variable or file. `name`: the names that users choose.
//! * `server`, `repo`, `history`, `retention`, `model`, `manifests`, `integration`, `connection`, `sync` with its `mass_delete` guard and `mapping`s, `api_key`: one section each.

mod api_key;
mod connection;
mod history;
mod integration;
mod manifests;
mod mapping;
mod mass_delete;
mod model;
mod name;
mod repo;
mod retention;
mod secret;
mod server;
mod spot;
mod sync;
mod webhook;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

pub use syncline_connectors::located::{Location, Problem, Problems};
use syncline_connectors::{
    located::{self, Report},
    manifest::Catalogue,
    registry,
};
use syncline_core::{
    ids::{ConnectionId, ModelName, TenantId},
    model::Model,
};

pub use self::{
    api_key::ApiKey,
    connection::{Connection, InitialCredentials},
    history::History,
    integration::Integration,
    mass_delete::MassDelete,
    repo::Repo,
    retention::Retention,
    secret::{Environment, FixedEnvironment, ProcessEnvironment, Secret},
    server::Server,
    sync::{Approval, Schedule, Sync},
};
use self::{secret::Resolver, spot::Spot};

/// The keys of the file.
const KEYS: &[&str] = &[
    "version",
    "server",
    "repo",
    "history",
    "retention",
    "models",
    "manifests",
    "integrations",
    "connections",
    "syncs",
    "api_keys",
];
/// The version of the file's shape that this build reads.
const VERSION: u32 = 1;
/// The largest file that is read.
const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A configuration in which everything is known to fit together.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where this server listens and keeps its data.
    pub server: Server,
    /// What clients of the automerge-repo protocol may do.
    pub repo: Repo,
    /// How long a record's history may grow.
    pub history: History,
    /// How long what is not needed any more is kept.
    pub retention: Retention,
    /// The models by name.
    pub models: BTreeMap<ModelName, Model>,
    /// The manifests at hand.
    pub manifests: Catalogue,
    /// The integrations by name.
    pub integrations: BTreeMap<String, Integration>,
    /// The connections by id.
    pub connections: BTreeMap<ConnectionId, Connection>,
    /// The syncs by name; at most one for each tenant and model.
    pub syncs: BTreeMap<String, Sync>,
    /// The API's keys; names are unique.
    pub api_keys: Vec<ApiKey>,
}

impl Config {
    /// Reads a configuration file with the secrets of this process's environment.
    ///
    /// # Errors
    /// Everything that is wrong with the file, or that it cannot be read.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let environment = ProcessEnvironment;
        match environment.file(path, FILE_BYTES_MAX) {
            Ok(text) => Self::parse(&text, path, &environment),
            Err(error) => Err(unreadable(path, &error)),
        }
    }

    /// Reads a configuration from text. `path` names it in messages, and its directory is where relative paths start.
    ///
    /// # Errors
    /// Everything that is wrong with the text.
    pub fn parse(text: &str, path: &Path, environment: &dyn Environment) -> Result<Self, Problems> {
        let report = Report::default();
        let root = match located::parse(text) {
            Ok(root) => root,
            Err(error) => {
                report.add(error.at, "", format!("this is not valid YAML: {}", error.message), error.remedy);
                return Err(Problems { file: path.to_owned(), list: report.into_sorted() });
            }
        };
        let directory = path.parent().unwrap_or(Path::new(""));
        let config = read(&Spot::root(&root, &report), Resolver { environment, directory });
        match (config, report.into_sorted()) {
            (Some(config), list) if list.is_empty() => Ok(config),
            (_, list) => Err(Problems { file: path.to_owned(), list }),
        }
    }

    /// The tenants that have connections, keys or syncs.
    pub fn tenants(&self) -> std::collections::BTreeSet<&TenantId> {
        let keys = self.api_keys.iter().filter_map(|key| key.tenant.as_ref());
        let connections = self.connections.values().map(|connection| &connection.tenant);
        keys.chain(connections).chain(self.syncs.values().map(|sync| &sync.plan.tenant)).collect()
    }

    /// The integration of a connection.
    pub fn integration_of(&self, connection: &ConnectionId) -> Option<&Integration> {
        self.integrations.get(&self.connections.get(connection)?.integration)
    }

    /// What a connection's webhooks are verified with, the newest first: its own secrets, else its integration's, else
    /// the secret of the OAuth client.
    pub fn webhook_secrets_of(&self, connection: &ConnectionId) -> Vec<Secret> {
        let own = self.connections.get(connection).map(|connection| &connection.webhook_secrets);
        let integration = self.integration_of(connection);
        let of_integration = integration.map(|integration| &integration.webhook_secrets);
        match own.into_iter().chain(of_integration).find(|secrets| !secrets.is_empty()) {
            Some(secrets) => secrets.clone(),
            None => integration.and_then(|integration| integration.client_secret.clone()).into_iter().collect(),
        }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problems {
    let remedy = match error.kind() {
        std::io::ErrorKind::NotFound => "name an existing file with `--config`",
        std::io::ErrorKind::PermissionDenied => "allow this user to read the file",
        _ => "check the file",
    };
    let problem = Problem {
        at: Location { line: 1, column: 1 },
        path: String::new(),
        message: format!("the file cannot be read: {error}"),
        remedy: remedy.to_owned(),
    };
    Problems { file: PathBuf::from(path), list: vec![problem] }
}

/// Reads the sections in an order in which each needs only earlier ones. Names of entries that could not be read count
/// as known, so that one mistake is reported once.
fn read(root: &Spot<'_>, resolver: Resolver<'_>) -> Option<Config> {
    let table = root.table(KEYS)?;
    if let Some(spot) = table.need("version", "begin the file with `version: 1`") {
        spot.whole(VERSION..=VERSION);
    }
    let section = |key: &str| table.get(key).and_then(|spot| spot.named()).unwrap_or_default();
    let (models, integrations, connections, syncs) =
        (section("models"), section("integrations"), section("connections"), section("syncs"));
    let server = Server::read(table.get("server").as_ref(), resolver);
    require_secrets_key(root, &server, table.get("server").as_ref(), !connections.is_empty());

    let manifests = manifests::read(table.get("manifests").as_ref(), resolver);
    let providers = registry::names(&manifests);
    let read_models: BTreeMap<ModelName, Model> = models
        .iter()
        .filter_map(|(name, spot)| model::read(name, spot))
        .map(|model| (model.name.clone(), model))
        .collect();
    let read_integrations: BTreeMap<String, Integration> = integrations
        .iter()
        .filter_map(|(name, spot)| Integration::read(name, spot, &providers, &manifests, resolver))
        .collect();
    let integration_names = names(&integrations);
    let read_connections: BTreeMap<ConnectionId, Connection> = connections
        .iter()
        .filter_map(|(name, spot)| Connection::read(name, spot, &integration_names, resolver))
        .map(|(id, connection)| (ConnectionId::from(id), connection))
        .collect();
    let (model_names, connection_names) = (names(&models), names(&connections));
    let parts = sync::Parts {
        models: &read_models,
        model_names: &model_names,
        integrations: &read_integrations,
        connections: &read_connections,
        connection_names: &connection_names,
    };
    let read_syncs = sync::read_all(&syncs, &parts);
    let api_keys = read_api_keys(table.get("api_keys").as_ref(), resolver);
    Some(Config {
        server,
        repo: Repo::read(table.get("repo").as_ref()),
        history: History::read(table.get("history").as_ref()),
        retention: Retention::read(table.get("retention").as_ref()),
        models: read_models,
        manifests,
        integrations: read_integrations,
        connections: read_connections,
        syncs: read_syncs,
        api_keys,
    })
}

fn names<'a>(section: &'a [(spot::Named, Spot<'_>)]) -> Vec<&'a str> {
    section.iter().map(|(name, _)| name.text.as_str()).collect()
}

fn require_secrets_key(root: &Spot<'_>, server: &Server, section: Option<&Spot<'_>>, has_connections: bool) {
    let configured = section.is_some_and(|spot| spot.follow(["secrets_key"]).path().ends_with("secrets_key"));
    if has_connections && server.secrets_key.is_none() && !configured {
        section.unwrap_or(root).problem(
            "`server.secrets_key` is missing: stored credentials are encrypted with it",
            "add `secrets_key: {env: SYNCLINE_SECRETS_KEY}` and set that variable to the output of `openssl rand -base64 32`",
        );
    }
}

fn read_api_keys(spot: Option<&Spot<'_>>, resolver: Resolver<'_>) -> Vec<ApiKey> {
    let mut keys: Vec<ApiKey> = Vec::new();
    for item in spot.and_then(Spot::list).unwrap_or_default() {
        let Some(key) = ApiKey::read(&item, resolver) else { continue };
        if keys.iter().any(|other| other.name == key.name) {
            item.problem(
                format!("the name `{}` is used by another API key", key.name),
                "give each key a name of its own",
            );
        } else if keys.iter().any(|other| other.key == key.key) {
            item.problem("another entry has the same key", "make a key of its own for each user");
        } else {
            keys.push(key);
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../docs/configuration.md");

    #[test]
    fn every_key_and_word_stands_on_the_documentation_page() {
        let sections: [&[&str]; 19] = [
            KEYS,
            secret::KEYS,
            server::KEYS,
            repo::KEYS,
            history::KEYS,
            retention::KEYS,
            model::KEYS,
            model::FIELD_KEYS,
            model::DELETE_KEYS,
            model::POLICY_KEYS,
            integration::KEYS,
            connection::KEYS,
            connection::CREDENTIAL_KEYS,
            sync::KEYS,
            sync::SIDE_KEYS,
            mass_delete::KEYS,
            mapping::KEYS,
            api_key::KEYS,
            &["both", "read", "write", "auto", "manual", "propagate", "detach", "ignore", "edit_wins", "delete_wins"],
        ];
        let words = model::TYPES.iter().map(|(word, _)| *word);
        let words = words
            .chain(model::STEPS.iter().map(|(word, _)| *word))
            .chain(model::POLICIES.iter().map(|(word, _)| *word));
        for word in sections.into_iter().flatten().copied().chain(words) {
            let written = [format!("`{word}`"), format!("`{word}:"), format!("{{{word}:")];
            assert!(written.iter().any(|text| PAGE.contains(text)), "docs/configuration.md does not mention `{word}`");
        }
    }

    #[test]
    fn the_example_on_the_documentation_page_is_valid() {
        let example = PAGE.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap_or_default();
        let text = example.replace("{file: /run/secrets/salesforce}", "{env: SF_CLIENT_SECRET}");
        let token = "0123456789abcdef".repeat(4);
        let names = [
            "SYNCLINE_SECRETS_KEY",
            "SF_CLIENT_ID",
            "SF_CLIENT_SECRET",
            "HS_CLIENT_ID",
            "HS_CLIENT_SECRET",
            "ACME_SF_REFRESH",
            "ACME_HS_REFRESH",
            "ACME_API_KEY",
        ];
        let environment = FixedEnvironment::new(names.map(|name| (name, token.clone())));
        let config = Config::parse(&text, Path::new("syncline.yaml"), &environment);
        assert!(config.is_ok_and(|config| config.syncs.len() == 1), "the example is read without a problem");
    }
}
