//! What a request of ours does at a provider.

use serde_json::Value as Json;
use syncline_core::{
    ids::ExternalId,
    remote::{Raw, Refusal, RemoteVersion, WriteOutcome, WriteRequest, WriteVerb},
    time::Millis,
};

use super::{KEY_FIELD, Provider, object::Object, quirks::KeyKind};

/// What texts end in that a picky provider refuses.
const REFUSED: [&str; 2] = ["7", "bb"];
/// What a provider says that refuses a create for its key.
pub(crate) const KEY_TAKEN: &str = "this key is taken";

/// What a write did, for those who check.
#[derive(Clone, Debug)]
pub(crate) enum Done {
    /// An object was made.
    Made { id: ExternalId },
    /// Fields of an object were set, which held these values before.
    Set { id: ExternalId, before: Raw },
    /// An object was deleted, which held these values.
    Deleted { id: ExternalId },
    /// Nothing changed.
    Nothing,
}

/// The outcome as the answer will tell it, and as it was.
#[derive(Clone, Debug)]
pub(crate) struct Effect {
    pub(crate) outcome: WriteOutcome,
    pub(crate) done: Done,
}

impl From<WriteOutcome> for Effect {
    fn from(outcome: WriteOutcome) -> Self {
        Self { outcome, done: Done::Nothing }
    }
}

impl Provider {
    /// Carries one row out.
    pub(crate) fn write(
        &mut self,
        request: &WriteRequest,
        fresh: &[(ExternalId, u64)],
        lag_ms: u32,
        now: Millis,
    ) -> Effect {
        if let Some(refusal) = self.refusal(&request.body) {
            return WriteOutcome::Refused(refusal).into();
        }
        match &request.verb {
            WriteVerb::Create { key } => {
                let key = key.as_ref().map(|key| key.value.clone()).filter(|_| self.quirks.key != KeyKind::None);
                self.create(key, &request.body, lag_ms, now)
            }
            WriteVerb::Update { id, expected } => match self.writable(id, *expected) {
                Ok(()) => {
                    self.judge(id, &request.body, fresh);
                    self.update(id, &request.body, lag_ms, now)
                }
                Err(outcome) => outcome.into(),
            },
            WriteVerb::Delete { id, expected } => match self.writable(id, *expected) {
                Ok(()) => {
                    self.end(id, lag_ms, now);
                    let outcome = WriteOutcome::Applied { id: id.clone(), created: false, object: None, whole: false };
                    Effect { outcome, done: Done::Deleted { id: id.clone() } }
                }
                Err(outcome) => outcome.into(),
            },
        }
    }

    fn refusal(&self, body: &Raw) -> Option<Refusal> {
        let refused =
            |value: &Json| value.as_str().is_some_and(|text| REFUSED.iter().any(|end| text.trim().ends_with(end)));
        let fields: Vec<String> = body
            .iter()
            .filter(|(_, value)| self.quirks.picky && refused(value))
            .map(|(name, _)| name.clone())
            .collect();
        if fields.is_empty() {
            return None;
        }
        Some(Refusal { code: "INVALID".into(), message: format!("no text may end in {REFUSED:?}"), fields })
    }

    fn create(&mut self, key: Option<String>, body: &Raw, lag_ms: u32, now: Millis) -> Effect {
        let taken = key.as_ref().and_then(|key| {
            let holds = |object: &&Object| object.value(KEY_FIELD).as_str() == Some(key);
            self.live().find(holds).map(|object| object.id.clone())
        });
        match (taken, self.quirks.key) {
            (Some(id), KeyKind::Upsert) => self.update(&id, body, lag_ms, now),
            (Some(id), _) => WriteOutcome::Exists { id: Some(id), message: KEY_TAKEN.into() }.into(),
            (None, _) => {
                let id = self.make(now);
                let mut values = body.clone();
                values.extend(key.map(|key| (KEY_FIELD.to_owned(), Json::String(key))));
                self.set(&id, values, true, now);
                self.changed(&id, now, lag_ms);
                let outcome = self.applied(&id, true);
                Effect { outcome, done: Done::Made { id } }
            }
        }
    }

    fn writable(&self, id: &ExternalId, expected: Option<RemoteVersion>) -> Result<(), WriteOutcome> {
        // An id that was merged away cannot be written to.
        let Some(object) = self.objects.get(id).filter(|object| object.is_live()) else {
            return Err(WriteOutcome::Gone);
        };
        let stale = self.quirks.conditional && expected.is_some_and(|expected| expected.stamp < object.stamp);
        if stale { Err(WriteOutcome::Stale) } else { Ok(()) }
    }

    /// A write that changes nothing, by somebody who had been shown what stands there, is redundant.
    fn judge(&mut self, id: &ExternalId, body: &Raw, fresh: &[(ExternalId, u64)]) {
        let Some(object) = self.objects.get(id) else { return };
        let same = |(name, value): (&String, &Json)| self.normalised(value.clone()) == object.value(name);
        let redundant = fresh.contains(&(id.clone(), object.revision)) && body.iter().all(same);
        if redundant {
            self.redundant.push(format!("{id}: {}", Json::Object(body.clone())));
        }
    }

    fn update(&mut self, id: &ExternalId, body: &Raw, lag_ms: u32, now: Millis) -> Effect {
        let before = self.objects.get(id).map(Object::raw).unwrap_or_default();
        self.set(id, body.clone(), true, now);
        self.changed(id, now, lag_ms);
        let outcome = self.applied(id, false);
        Effect { outcome, done: Done::Set { id: id.clone(), before } }
    }

    fn applied(&self, id: &ExternalId, created: bool) -> WriteOutcome {
        let whole = self.quirks.history;
        let object = self.objects.get(id).filter(|_| whole).map(|object| Box::new(self.show(object)));
        WriteOutcome::Applied { id: id.clone(), created, object, whole }
    }

    /// Deletes an object.
    pub(super) fn end(&mut self, id: &ExternalId, lag_ms: u32, now: Millis) {
        let at = self.clock(now);
        if let Some(object) = self.objects.get_mut(id) {
            object.deleted = Some(at);
        }
        self.changed(id, now, lag_ms);
    }
}
