//! What everybody does while the process may die: users of both accounts edit, create and delete, and so does the product.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Map, Value as Json, json};
use syncline_client::{Api, At, Choice, Conflict, ConflictQuery, Error, Record, RecordId};
use syncline_tests::accounts::{Account, HUBSPOT};

use crate::{
    book::{Book, Doubt, call},
    gone::Gone,
};

/// The model of the configuration.
pub(crate) const MODEL: &str = "contact";
/// Time between two scenes; nothing waits for it.
const PAUSE: Duration = Duration::from_millis(15);
/// Scenes of one life, at most: a backlog that only grows would never be worked off.
const SCENES_MAX: usize = 40;

/// Looks in vain after which two users quarrel again.
const LOOKS_PER_QUARREL: usize = 300;

/// Fields that take any text: the product's name, and the accounts'.
const FREE: [(&str, [&str; 2]); 4] = [
    ("title", ["Title", "jobtitle"]),
    ("first_name", ["FirstName", "firstname"]),
    ("department", ["Department", "department"]),
    ("city", ["MailingCity", "city"]),
];

/// A contact that stands on all sides.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) record: RecordId,
    pub(crate) objects: [String; 2],
}

/// The company of one world.
#[derive(Debug)]
pub(crate) struct Company<'a> {
    pub(crate) accounts: [Account<'a>; 2],
    pub(crate) api: &'a Api,
    pub(crate) book: &'a Book,
    pub(crate) cast: &'a [Member],
}

/// Draws what is done, and names it so that nothing is written twice.
#[derive(Debug)]
pub(crate) struct Pen {
    pub(crate) rng: StdRng,
    tags: u64,
    /// Contacts that were created on the way and may go again: in an account, or at the product.
    expendable: [Vec<String>; 2],
    created: Vec<RecordId>,
}

impl Pen {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), tags: 0, expendable: Default::default(), created: Vec::new() }
    }

    /// A text that nobody else writes.
    pub(crate) fn tag(&mut self) -> String {
        self.tags += 1;
        format!("T{}", self.tags)
    }

    fn one_in(&mut self, times: u32) -> bool {
        self.rng.random_range(0..times) == 0
    }
}

/// Scene after scene, then silence, until the process is gone. A scene is never cut off: what was done must be known.
pub(crate) async fn play(company: &Company<'_>, pen: &mut Pen, gone: &Gone) {
    for _ in 0..SCENES_MAX {
        if gone.within(PAUSE).await {
            return;
        }
        scene(company, pen).await;
    }
    gone.wait().await;
}

/// Everybody acts at once: now and then on the same field, mostly on the same contact.
async fn scene(company: &Company<'_>, pen: &mut Pen) {
    if pen.one_in(6) {
        return come_and_go(company, pen).await;
    }
    let member = &company.cast[pen.rng.random_range(0..company.cast.len())];
    let same = pen.one_in(3);
    let drawn = pen.rng.random_range(0..FREE.len());
    let field = |role: usize| FREE[if same { drawn } else { (drawn + role) % FREE.len() }];
    let absent = pen.rng.random_range(0..4);
    let tags = [pen.tag(), pen.tag(), pen.tag()];
    let user = async |place: usize| {
        if place != absent {
            let (_, names) = field(place);
            company.accounts[place].try_edit(&member.objects[place], &[(names[place], &tags[place])]).await;
        }
    };
    let product = async {
        if absent != 2 {
            let sent = Map::from_iter([(field(2).0.to_owned(), json!(tags[2]))]);
            edit(company, member.record, sent).await;
        }
    };
    tokio::join!(user(0), user(1), product);
}

/// Contacts come, and go again.
async fn come_and_go(company: &Company<'_>, pen: &mut Pen) {
    let tag = pen.tag();
    let place = pen.rng.random_range(0..2);
    let going = pen.one_in(3);
    if going && let Some(id) = pen.expendable[place].pop() {
        company.accounts[place].try_delete(&id).await;
    } else if going && let Some(record) = pen.created.pop() {
        delete(company, record).await;
    } else if pen.one_in(2) {
        let id = user_creates(&company.accounts[place], &tag).await;
        pen.expendable[place].push(id);
    } else {
        pen.created.extend(create(company, &tag).await);
    }
}

/// A user creates a contact; its object. Everybody says whether it may be called: one platform says no where nothing is said,
/// and such a word of its own, in answer to our create, passes for an edit and would bring a deleted contact back.
pub(crate) async fn user_creates(account: &Account<'_>, tag: &str) -> String {
    let email = format!("{tag}@user.example").to_lowercase();
    let name = format!("Name {tag}");
    let mut values = vec![("email", email.as_str()), ("last_name", &name), ("title", tag)];
    if account.words.object == HUBSPOT.object {
        values.push(("do_not_call", "false"));
    }
    account.create(&values).await
}

async fn create(company: &Company<'_>, tag: &str) -> Option<RecordId> {
    let fields = Map::from_iter([
        ("email".to_owned(), json!(format!("{tag}@product.example").to_lowercase())),
        ("last_name".to_owned(), json!(format!("Name {tag}"))),
        ("title".to_owned(), json!(tag)),
        ("do_not_call".to_owned(), json!(false)),
    ]);
    let noted = call(String::new(), Map::new(), fields.clone());
    let entry = company.book.open(Doubt::Create { key: tag.to_owned(), call: noted });
    let made = company.api.create_record(MODEL, &fields, Some(tag)).await.ok()?;
    company.book.acknowledged(entry, Some(&made.meta));
    Some(made.meta.id)
}

/// Edits what is read just before, and only if nobody else does meanwhile.
async fn edit(company: &Company<'_>, id: RecordId, sent: Map<String, Json>) {
    let Some(record) = read(company.api, id).await else { return };
    let entry = company.book.open(Doubt::Edit(call(id.to_string(), record.fields, sent.clone())));
    match company.api.update_record(MODEL, id, &sent, Some(record.meta.version)).await {
        Ok(edited) => company.book.acknowledged(entry, Some(&edited.meta)),
        Err(Error::Refused(problem)) if problem.status < 500 => company.book.refused(entry),
        Err(_) => {}
    }
}

async fn delete(company: &Company<'_>, id: RecordId) {
    let Some(record) = read(company.api, id).await else { return };
    let mut noted = call(id.to_string(), record.fields, Map::new());
    noted.deleted = true;
    let entry = company.book.open(Doubt::Delete(noted));
    match company.api.delete_record(MODEL, id, Some(record.meta.version)).await {
        Ok(()) => company.book.acknowledged(entry, None),
        Err(Error::Refused(problem)) if problem.status < 500 => company.book.refused(entry),
        Err(_) => {}
    }
}

/// A record that is there and not deleted.
async fn read(api: &Api, id: RecordId) -> Option<Record> {
    api.record(MODEL, id).await.ok().filter(|record| record.meta.deleted_at.is_none())
}

/// A person waits for two users to have edited one field unseen by each other, and settles it for the one who lost. Where an answer
/// was lost before, what they wrote may have met a third value each; then they write again.
pub(crate) async fn settle_rivals(
    company: &Company<'_>,
    rival: &Member,
    written: &[String],
    pen: &mut Pen,
    gone: &Gone,
) {
    let query = ConflictQuery { record: Some(rival.record), ..Default::default() };
    let mut written = written.to_vec();
    let mut looks = 0;
    while !gone.within(PAUSE).await {
        looks += 1;
        if looks % LOOKS_PER_QUARREL == 0 {
            written = quarrel(&company.accounts, rival, pen).await;
        }
        let found = company.api.conflicts(&query, &At::default()).await;
        let between = |conflict: &Conflict| {
            [&conflict.winner, &conflict.loser].into_iter().all(|side| written.iter().any(|tag| side.value == **tag))
        };
        if let Some(conflict) = found.ok().and_then(|page| page.items.into_iter().find(between))
            && let Some(record) = read(company.api, rival.record).await
        {
            let sent = Map::from_iter([(conflict.field.clone(), conflict.loser.value.clone())]);
            let noted = call(rival.record.to_string(), record.fields, sent);
            let entry = company.book.open(Doubt::Resolve { conflict: conflict.id, call: noted });
            if company.api.resolve_conflict(conflict.id, &Choice::Loser).await.is_ok() {
                company.book.acknowledged(entry, None);
            }
        }
    }
}

/// A user of each account writes into one field of one contact at once; what they wrote.
pub(crate) async fn quarrel(accounts: &[Account<'_>; 2], rival: &Member, pen: &mut Pen) -> Vec<String> {
    let written = [pen.tag(), pen.tag()];
    let [first, second] = accounts;
    let (one, other) = ([("title", written[0].as_str())], [("title", written[1].as_str())]);
    tokio::join!(first.edit(&rival.objects[0], &one), second.edit(&rival.objects[1], &other));
    written.into()
}
