//! A survey of the connected accounts: whether each can be called, and whether the objects there have what the
//! mappings need. Nothing is written there.

use std::collections::BTreeMap;

use syncline_core::{
    budget::{Call, CallKind},
    ids::ConnectionId,
    plan::Side,
    remote::{ObjectSchema, PageRequest, ProviderError, Raw, RemoteField},
};

use super::finding::Finding;
use crate::{
    config::{Config, Sync},
    engine::session::Session,
};

/// How many real objects the laws of a mapping are tried on.
const SAMPLES: u32 = 100;

/// Calls every connection and says who we are there.
pub(crate) async fn connections(sessions: &BTreeMap<ConnectionId, std::sync::Arc<Session>>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (id, session) in sessions {
        let about = format!("connection {id}");
        let reader = session.connector.reader();
        let probe =
            session.call(Call::live(CallKind::Other), |credentials| async move { reader.probe(&credentials).await });
        findings.push(match probe.await {
            Ok(probe) => Finding::good(about, format!("reached as {}", probe.account)),
            Err(error) => Finding::problem(about, words(&error)),
        });
    }
    findings
}

/// What a provider's refusal means for a person.
pub(crate) fn words(error: &ProviderError) -> String {
    use syncline_core::remote::Remedy;
    let remedy = match error.remedy {
        Remedy::Refresh | Remedy::Reauthorise => {
            "authorise the connection again and put its new token into the configuration"
        }
        Remedy::Retry | Remedy::Busy { .. } => "try again later",
        Remedy::Wait { .. } => "wait until the provider's quota is free again",
        Remedy::Gone => "check that the object exists and that the account may see it",
        Remedy::Restart | Remedy::Resync | Remedy::Configure => "check the integration's and the connection's settings",
    };
    format!("{}; {remedy}", error.message)
}

/// One side of a sync and the session with its account.
pub(crate) struct Surveyed<'a> {
    name: &'a str,
    sync: &'a Sync,
    connection: &'a ConnectionId,
    side: &'a Side,
    session: &'a Session,
}

/// Every side of every sync.
pub(crate) fn sides<'a>(
    config: &'a Config,
    sessions: &'a BTreeMap<ConnectionId, std::sync::Arc<Session>>,
) -> impl Iterator<Item = Surveyed<'a>> {
    config.syncs.iter().flat_map(move |(name, sync)| {
        sync.plan.sides.iter().filter_map(move |(connection, side)| {
            Some(Surveyed { name, sync, connection, side, session: sessions.get(connection)? })
        })
    })
}

impl Surveyed<'_> {
    /// The side's connection.
    pub(crate) fn connection(&self) -> &ConnectionId {
        self.connection
    }

    /// How the side is called in findings.
    pub(crate) fn about(&self) -> String {
        about(self.name, self.connection)
    }

    /// The object's fields.
    pub(crate) async fn describe(&self) -> Result<ObjectSchema, ProviderError> {
        let reader = self.session.connector.reader();
        let object = &self.side.object;
        let call = |credentials| async move { reader.describe(&credentials, object).await };
        self.session.call(Call::live(CallKind::Other), call).await
    }

    /// Whether the account's own log of changes can be followed, where it has to have one, and what an administrator should do there.
    pub(crate) async fn followed(&self) -> Vec<Finding> {
        let (connector, object) = (&self.session.connector, &self.side.object);
        let Some(log) = connector.change_log() else { return Vec::new() };
        let call = Call::live(CallKind::Other);
        let end = self.session.call(call, |credentials| async move { log.end(&credentials, object).await }).await;
        let mut findings = vec![match end {
            Ok(_) => Finding::good(self.about(), format!("changes of `{object}` are followed")),
            Err(error) => return vec![Finding::problem(self.about(), words(&error))],
        }];
        if let Some(installer) = connector.installer() {
            let objects = std::slice::from_ref(object);
            let plan = |credentials| async move { installer.install(&credentials, objects).await };
            let steps = self.session.call(call, plan).await.unwrap_or_default();
            let advice = steps.into_iter().filter(|step| step.statement.is_none());
            findings.extend(advice.map(|step| Finding::warning(self.about(), step.what)));
        }
        findings
    }

    /// Holds the object's fields against the side's key and mapping.
    pub(crate) fn judge(&self, schema: &ObjectSchema) -> Vec<Finding> {
        let (about, object) = (self.about(), &self.side.object);
        let mut findings = Vec::new();
        match self.key(schema) {
            KeyField::Unneeded => {}
            KeyField::Good(field) => findings.push(Finding::good(&about, format!("`{object}.{field}` is a unique key"))),
            KeyField::Unnamed => findings.push(Finding::warning(
                &about,
                "no `key` is configured: a create that is cut off is looked for by the match keys, and waits for a person where they cannot tell",
            )),
            KeyField::Missing(field) => findings.push(Finding::problem(
                &about,
                format!(
                    "`{object}` has no field `{field}`, the configured `key`: {}",
                    self.only_keys(schema).as_deref().unwrap_or("`syncline plan --create-fields` makes it")
                ),
            )),
            KeyField::Unfit(field) => findings.push(Finding::problem(
                &about,
                format!(
                    "`{object}.{field}`, the configured `key`, is not a unique field that can be written: {}",
                    self.only_keys(schema)
                        .as_deref()
                        .unwrap_or("make it an external id or a unique property there, or name another")
                ),
            )),
        }
        findings.extend(self.mapped(schema));
        findings
    }

    /// What to write instead of a `key` that cannot be one, where the provider lets nobody add fields.
    fn only_keys(&self, schema: &ObjectSchema) -> Option<String> {
        if self.session.connector.fields().is_some() {
            return None;
        }
        let fit = schema.fields.iter().filter(|(_, field)| can_be_key(field));
        let fit: Vec<String> = fit.map(|(name, _)| format!("`key: {name}`")).collect();
        Some(if fit.is_empty() { "leave `key` out".to_owned() } else { format!("write {}", fit.join(" or ")) })
    }

    /// How the configured unique key stands.
    pub(crate) fn key<'s>(&'s self, schema: &ObjectSchema) -> KeyField<'s> {
        match &self.side.key_field {
            None if self.side.creates => KeyField::Unnamed,
            None => KeyField::Unneeded,
            Some(field) => match schema.fields.get(field) {
                None => KeyField::Missing(field),
                Some(known) if can_be_key(known) => KeyField::Good(field),
                Some(_) => KeyField::Unfit(field),
            },
        }
    }

    fn mapped(&self, schema: &ObjectSchema) -> Vec<Finding> {
        let (about, object, mapping) = (self.about(), &self.side.object, &self.side.mapping);
        let mut findings = Vec::new();
        let mut count = 0;
        for remote in mapping.remote_fields() {
            count += 1;
            let Some(known) = schema.fields.get(&remote) else {
                let near = syncline_core::model::nearest(&remote, schema.fields.keys().map(String::as_str));
                let hint = near.map_or_else(
                    || "check the name and the account's rights".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                findings.push(Finding::problem(&about, format!("`{object}` has no field `{remote}`: {hint}")));
                continue;
            };
            let written =
                self.side.writes && mapping.fields_of_remote(&remote).iter().any(|field| mapping.writable(field));
            if written && !known.writable {
                let message = format!(
                    "`{object}.{remote}` cannot be written: give its mapping `direction: read`, or the account the right to write it"
                );
                findings.push(Finding::problem(&about, message));
            }
        }
        if findings.is_empty() {
            findings.push(Finding::good(&about, format!("all {count} mapped fields are there")));
        }
        findings
    }

    /// Real objects of the account, as the mapping sees them.
    pub(crate) async fn samples(&self) -> Result<Vec<Raw>, ProviderError> {
        let reader = self.session.connector.reader();
        let request = PageRequest {
            object: self.side.object.clone(),
            fields: self.side.mapping.remote_fields(),
            window: None,
            after: None,
            token: None,
            deleted: false,
            limit: SAMPLES,
        };
        let request = &request;
        let call = |credentials| async move { reader.page(&credentials, request).await };
        let page = self.session.call(Call::live(CallKind::Read), call).await?;
        Ok(page.objects.into_iter().take(SAMPLES as usize).map(|object| object.fields).collect())
    }

    /// Holds the mapping's laws against samples; values that commonly break mappings are tried in any case.
    pub(crate) fn laws(&self, samples: &[Raw]) -> Vec<Finding> {
        laws(self.name, self.sync, self.connection, samples)
    }

    /// Creates the configured unique key field, or says why not.
    pub(crate) async fn create_key(&self, field: &str) -> Result<(), String> {
        let Some(creator) = self.session.connector.fields() else {
            return Err("the provider lets nobody create fields by API: create it there by hand".to_owned());
        };
        let object = &self.side.object;
        let call = |credentials| async move { creator.create_key_field(&credentials, object, field).await };
        self.session.call(Call::live(CallKind::Other), call).await.map_err(|error| words(&error))
    }
}

/// How the unique key field of a side stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyField<'a> {
    /// Nothing is created there.
    Unneeded,
    /// None is configured, though records are created there.
    Unnamed,
    /// It is there and unique.
    Good(&'a str),
    /// The object has no such field.
    Missing(&'a str),
    /// The field does not refuse repeated values, or cannot be written.
    Unfit(&'a str),
}

/// Whether a field can hold a record's id, and only one object each id.
fn can_be_key(field: &RemoteField) -> bool {
    field.unique && field.writable
}

/// Holds the laws of one side's mapping against samples.
pub(crate) fn laws(name: &str, sync: &Sync, connection: &ConnectionId, samples: &[Raw]) -> Vec<Finding> {
    let about = about(name, connection);
    let Some(side) = sync.plan.sides.get(connection) else { return Vec::new() };
    let broken = side.mapping.check_laws(&sync.plan.model, samples);
    if broken.is_empty() {
        let tried = if samples.is_empty() {
            "made-up values".to_owned()
        } else {
            format!("{} real objects and made-up values", samples.len())
        };
        return vec![Finding::good(about, format!("the mapping keeps its laws, tried on {tried}"))];
    }
    broken.into_iter().map(|law| Finding::problem(&about, law.to_string())).collect()
}

fn about(name: &str, connection: &ConnectionId) -> String {
    format!("sync {name}, {connection}")
}
