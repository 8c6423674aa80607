//! The three writers: a user of each account, at the platform's own door, and the product over the API.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use reqwest::Method;
use serde_json::{Map, Value as Json, json};
use syncline_client::{Api, At, Error, Record, RecordId, RecordQuery};
use syncline_sandbox::Running;

use super::{
    DemoError,
    scenario::{ACCOUNTS, Account, MODEL, fields::Field},
    script::{Act, Deed, Role, Scene},
    stage::Stage,
    web::Web,
};

/// The name under which a user acts in each account.
const USER: &str = "robin";
/// How often the product repeats an edit whose record changed meanwhile.
const TRIES_MAX: usize = 8;

/// One contact of the cast: its record and its object in each account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) record: RecordId,
    pub(super) objects: Vec<String>,
}

/// An edit that the API acknowledged, as the product remembers it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Acknowledged {
    /// When it was sent, after what it says it saw was read; in microseconds since 1970.
    pub at_us: i64,
    /// When the service had it: later than it was made, where the product was cut off.
    pub reached_us: i64,
    /// The record.
    pub record: String,
    /// Whether it was a delete.
    pub deleted: bool,
    /// What the product had read before: of a create, nothing.
    pub seen: Map<String, Json>,
    /// What it set.
    pub sent: BTreeMap<String, Json>,
}

/// The three writers.
#[derive(Debug)]
pub(super) struct Players<'a> {
    pub(super) stage: &'a Stage,
    pub(super) api: &'a Api,
    pub(super) web: &'a Web,
    pub(super) cast: Vec<Member>,
    /// Others that stand in every account, whom nobody edits.
    pub(super) bystanders: Vec<Member>,
    acknowledged: Mutex<Vec<Acknowledged>>,
}

impl<'a> Players<'a> {
    /// Picks a cast of at most `size` from the contacts that stand in every account.
    pub(super) async fn cast(stage: &'a Stage, api: &'a Api, web: &'a Web, size: usize) -> Result<Self, DemoError> {
        let page = api.list_records(MODEL, &RecordQuery::default(), &At::default().limit(1_000)).await?;
        let members = page.items.iter().filter_map(|record| {
            let id = |account: &Account| record.meta.external_ids.get(account.connection)?.id.clone();
            let objects = ACCOUNTS.iter().map(id).collect::<Option<_>>()?;
            Some((record.fields.get("country"), Member { record: record.meta.id, objects }))
        });
        let (mut cast, mut bystanders, mut country) = (Vec::new(), Vec::new(), None);
        for (of, member) in members {
            if cast.len() < size {
                country.get_or_insert(of);
                cast.push(member);
            } else if country != Some(of) {
                // The offline client edits everybody in the country of the first.
                bystanders.push(member);
            }
        }
        Ok(Self { stage, api, web, cast, bystanders, acknowledged: Mutex::default() })
    }

    /// Plays a scene: everybody acts at once. How many acts were accepted.
    pub(super) async fn play(&self, scene: &Scene) -> Result<usize, DemoError> {
        let acts = futures_util::future::join_all(scene.iter().map(|act| self.act(act))).await;
        acts.into_iter().try_fold(0, |accepted, act| Ok(accepted + usize::from(act?)))
    }

    /// A user deletes a contact of the account at this place. `false`: it is gone already.
    pub(super) async fn user_deletes(&self, place: usize, member: &Member) -> Result<bool, DemoError> {
        self.user_acts(place, member, &Deed::Delete).await
    }

    /// The country of somebody in the cast.
    pub(super) async fn country(&self) -> Result<Json, DemoError> {
        let Some(member) = self.cast.first() else { return Ok(Json::Null) };
        let record = self.api.record(MODEL, member.record).await?;
        Ok(record.fields.get("country").cloned().unwrap_or_default())
    }

    /// What the API has acknowledged.
    pub(super) fn acknowledged(&self) -> Vec<Acknowledged> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn act(&self, act: &Act) -> Result<bool, DemoError> {
        let Some(member) = self.cast.get(act.subject) else { return Ok(false) };
        match act.role {
            Role::User(place) => self.user_acts(place, member, &act.deed).await,
            Role::Product => self.product_acts(member.record, &act.deed).await,
        }
    }

    /// `false`: the platform refused, as it must for a contact that is gone.
    async fn user_acts(&self, place: usize, member: &Member, deed: &Deed) -> Result<bool, DemoError> {
        let (Some(account), Some(object)) = (ACCOUNTS.get(place), member.objects.get(place)) else { return Ok(false) };
        let running = self.stage.running(account)?;
        let door = format!("{}/users/{USER}/{}", running.admin_url, account.object);
        let one = format!("{door}/{object}");
        let answer = match deed {
            Deed::Create(fields) => self.web.call(Method::POST, &door, None, Some(&typed(place, fields))).await?,
            Deed::Set(fields) => self.web.call(Method::PATCH, &one, None, Some(&typed(place, fields))).await?,
            Deed::Delete => self.web.call(Method::DELETE, &one, None, None).await?,
            Deed::Toggle(name, word) => {
                let Some(shown) = self.look(account, running, place, object, name).await? else { return Ok(false) };
                let fields = [(*name, json!(toggled(&shown, word)))];
                self.web.call(Method::PATCH, &one, None, Some(&typed(place, &fields))).await?
            }
        };
        Ok(answer.is_ok())
    }

    /// The members of a field as a user of the account sees them; `None` where the contact is gone.
    async fn look(
        &self,
        account: &Account,
        running: &Running,
        place: usize,
        object: &str,
        name: &str,
    ) -> Result<Option<Vec<String>>, DemoError> {
        let Some(field) = Field::named(name) else { return Ok(None) };
        let remote = field.remote[place];
        let url = account.object_url(running, object, remote);
        let token = Some(running.credentials.user_token.as_str());
        let Ok(row) = self.web.call(Method::GET, &url, token, None).await? else { return Ok(None) };
        let value = row.get(remote).or_else(|| row["properties"].get(remote));
        let text = value.and_then(Json::as_str).unwrap_or_default();
        Ok(Some(text.split(';').filter(|word| !word.is_empty()).map(str::to_owned).collect()))
    }

    async fn product_acts(&self, id: RecordId, deed: &Deed) -> Result<bool, DemoError> {
        if let Deed::Create(fields) = deed {
            let fields: Map<String, Json> = owned(fields);
            let at_us = now_us();
            let record = self.api.create_record(MODEL, &fields, None).await?;
            self.note(at_us, record.meta.id, false, Map::new(), fields);
            return Ok(true);
        }
        for _ in 0..TRIES_MAX {
            let record = self.api.record(MODEL, id).await?;
            if record.meta.deleted_at.is_some() {
                return Ok(false);
            }
            let at_us = now_us();
            match self.product_edits(&record, deed).await {
                Ok(sent) => {
                    self.note(at_us, id, *deed == Deed::Delete, record.fields, sent);
                    return Ok(true);
                }
                Err(Error::Refused(problem)) if problem.status == 412 => {}
                Err(Error::Refused(problem)) if matches!(problem.status, 404 | 409 | 410) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    /// Edits what was just read, and only if nobody else did meanwhile; what was sent.
    async fn product_edits(&self, record: &Record, deed: &Deed) -> Result<Map<String, Json>, Error> {
        let (id, version) = (record.meta.id, Some(record.meta.version));
        let fields = match deed {
            Deed::Set(fields) => owned(fields),
            Deed::Toggle(name, word) => {
                let shown = record.fields.get(*name).and_then(Json::as_array).cloned().unwrap_or_default();
                let shown: Vec<String> = shown.iter().filter_map(Json::as_str).map(str::to_owned).collect();
                owned(&[(*name, json!(toggled(&shown, word)))])
            }
            Deed::Delete => {
                self.api.delete_record(MODEL, id, version).await?;
                return Ok(Map::new());
            }
            Deed::Create(_) => return Ok(Map::new()),
        };
        self.api.update_record(MODEL, id, &fields, version).await?;
        Ok(fields)
    }

    fn note(&self, at_us: i64, record: RecordId, deleted: bool, seen: Map<String, Json>, sent: Map<String, Json>) {
        let (record, sent) = (record.to_string(), sent.into_iter().collect());
        let noted = Acknowledged { at_us, reached_us: at_us, record, deleted, seen, sent };
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push(noted);
    }
}

/// The time in microseconds since 1970.
pub(super) fn now_us() -> i64 {
    let at_us = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    i64::try_from(at_us).unwrap_or(i64::MAX)
}

/// Fields as a user of an account types them, under the platform's names.
fn typed(place: usize, fields: &[(&'static str, Json)]) -> Json {
    let typed = fields.iter().filter_map(|(name, value)| {
        let field = Field::named(name)?;
        Some((field.remote[place].to_owned(), field.typed(place, value)))
    });
    Json::Object(typed.collect())
}

fn owned(fields: &[(&'static str, Json)]) -> Map<String, Json> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn toggled(members: &[String], word: &str) -> Vec<String> {
    let mut toggled: Vec<String> = members.iter().filter(|member| *member != word).cloned().collect();
    if toggled.len() == members.len() {
        toggled.push(word.to_owned());
    }
    toggled
}
