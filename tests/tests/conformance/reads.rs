//! Reading: nothing is missed, nothing is made up.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;
use syncline_connectors::usage::overhear;
use syncline_core::{
    ids::ExternalId,
    read::{Backfill, Pace, ReadSpec, Recovery, Step},
    remote::{Key, PageRequest, Remedy, Window},
};

use crate::{for_every_connector, subject::Subject};

for_every_connector!(
    a_backfill_sees_every_row,
    an_increment_sees_every_change,
    a_walk_without_its_token_goes_on_from_its_position,
    rows_come_by_id_in_every_state,
    merged_ids_lead_to_the_survivor,
    deletes_are_told,
    searches_find_live_objects,
    the_schema_names_the_key,
    a_probe_tells_the_time,
    wide_rows_are_whole,
    answers_tell_of_budgets,
);

async fn a_backfill_sees_every_row(subject: &mut Subject) {
    let gone = subject.users.create(subject.person("Gone")).await;
    subject.users.delete(&gone).await;
    let found = subject.backfill(subject.spec()).await;
    let stored = subject.users.stored().await;
    let live: BTreeSet<&String> = stored.iter().filter(|(_, row)| !row.deleted).map(|(id, _)| id).collect();
    assert_eq!(found.keys().collect::<BTreeSet<_>>(), live);
    for (id, object) in &found {
        assert!(!object.deleted);
        assert!(object.version.is_some());
        for field in [subject.words.email, subject.words.last_name] {
            assert_eq!(object.fields[field], stored[id].fields[field], "{id} {field}");
        }
    }
}

async fn an_increment_sees_every_change(subject: &mut Subject) {
    if subject.connector.change_log().is_some() {
        return the_log_tells_every_change(subject).await;
    }
    let spec = subject.spec();
    let begun = Backfill::begin(spec.clone(), subject.now());
    let mut machine = begun.incremental(Pace { every_ms: 1 });
    subject.pass(Duration::from_secs(1));
    let ids: Vec<String> = subject.users.stored().await.into_keys().take(230).collect();
    for id in &ids {
        subject.users.edit(id, json!({ subject.words.title: "Changed" })).await;
    }
    subject.pass(Duration::from_millis(spec.facts.lag_ms + 2_000));
    let mut seen = BTreeSet::new();
    loop {
        let Step::Fetch(request) = machine.next(subject.now()) else { panic!("a window is due") };
        match subject.page(&request).await {
            Ok(page) => {
                let changed = page.objects.iter().filter(|object| object.fields[subject.words.title] == "Changed");
                seen.extend(changed.map(|object| object.id.to_string()));
                if machine.page(&page).expect("the walk advances") {
                    break;
                }
            }
            Err(error) => assert_eq!(machine.failed(&error), Recovery::Resumed, "{error}"),
        }
    }
    assert_eq!(seen, ids.into_iter().collect());
}

/// The same of a provider that keeps a log of changes: those made since the position was taken are in it, and deletes as well.
async fn the_log_tells_every_change(subject: &mut Subject) {
    let log = subject.connector.change_log().expect("it has one");
    let (credentials, object) = (&subject.credentials, subject.object());
    let mut after = log.end(credentials, &object).await.expect("an end");
    let ids: Vec<String> = subject.users.stored().await.into_keys().take(230).collect();
    for id in &ids {
        subject.users.edit(id, json!({ subject.words.title: "Changed" })).await;
    }
    subject.users.delete(&ids[7]).await;
    let (mut changed, mut deleted) = (BTreeSet::new(), BTreeSet::new());
    loop {
        log.wait(credentials, &object, &after, Duration::ZERO).await.expect("a wait");
        let changes = log.read(credentials, &object, &after, 50).await.expect("changes");
        changed.extend(changes.changed.iter().map(ToString::to_string));
        deleted.extend(changes.deleted.iter().map(ToString::to_string));
        after = changes.next;
        if !changes.more {
            break;
        }
    }
    assert_eq!(deleted, BTreeSet::from([ids[7].clone()]));
    assert_eq!(changed, ids.into_iter().collect());
    let rest = log.read(credentials, &object, &after, 50).await.expect("nothing");
    assert!(rest.changed.is_empty() && rest.deleted.is_empty(), "{rest:?}");
}

async fn a_walk_without_its_token_goes_on_from_its_position(subject: &mut Subject) {
    let spec = subject.spec();
    let spec = ReadSpec { facts: syncline_core::remote::CursorFacts { page_max: 100, ..spec.facts }, ..spec };
    let mut machine = Backfill::begin(spec, subject.now());
    let mut seen = BTreeSet::new();
    while let Step::Fetch(request) = machine.next() {
        let without = PageRequest { token: None, ..request };
        let page = subject.page(&without).await.expect("a page");
        seen.extend(page.objects.iter().map(|object| object.id.to_string()));
        machine.page(&page).expect("the walk advances");
    }
    assert_eq!(seen, subject.users.stored().await.into_keys().collect());
}

async fn rows_come_by_id_in_every_state(subject: &mut Subject) {
    let live = subject.users.create(subject.person("Live")).await;
    let gone = subject.users.create(subject.person("Gone")).await;
    let back = subject.users.create(subject.person("Back")).await;
    subject.step();
    for id in [&gone, &back] {
        subject.users.delete(id).await;
    }
    if subject.words.can.restore {
        subject.users.restore(&back).await;
    }
    let never = "999999999999999".to_owned();
    let ids = [&live, &gone, &back, &never].map(String::as_str);
    let objects = subject.by_id(&ids).await;
    assert_eq!(objects.len(), 4);
    let state = |id: &str| {
        let object = objects.iter().find(|object| object.id.as_str() == id).expect("every id comes back");
        (object.deleted, object.version.is_some())
    };
    assert_eq!(state(&live), (false, true));
    assert_eq!(state(&gone), (true, true), "a delete that the provider shows has a version");
    assert_eq!(state(&back), (!subject.words.can.restore, true));
    assert_eq!(state(&never), (true, !subject.words.can.tell_never), "what is nowhere has none");
}

async fn merged_ids_lead_to_the_survivor(subject: &mut Subject) {
    if !subject.words.can.merge {
        return;
    }
    let primary = subject.users.create(subject.person("Primary")).await;
    let loser = subject.users.create(subject.person("Loser")).await;
    subject.step();
    let survivor = subject.users.merge(&loser, &primary).await;
    for ids in [vec![loser.as_str()], vec![loser.as_str(), primary.as_str()]] {
        let objects = subject.by_id(&ids).await;
        assert_eq!(objects.len(), 1, "{objects:?}");
        assert_eq!((objects[0].id.as_str(), objects[0].deleted), (survivor.as_str(), false));
        assert!(objects[0].aliases.contains(&ExternalId::from(loser.as_str())), "{:?}", objects[0].aliases);
        assert_eq!(objects[0].fields[subject.words.last_name], "Primary");
    }
}

async fn deletes_are_told(subject: &mut Subject) {
    let before = subject.now();
    subject.pass(Duration::from_secs(1));
    let ids: Vec<String> = subject.users.stored().await.into_keys().take(3).collect();
    for id in &ids {
        subject.users.delete(id).await;
    }
    subject.pass(Duration::from_secs(180));
    let window = Window { from: before, until: subject.now() };
    let reader = subject.connector.reader();
    let told = reader.deleted(&subject.credentials, &subject.object(), window).await.expect("an answer");
    if !subject.words.can.tell_deletes {
        // A reading by id tells of each, and a sweep says of which to ask.
        let listed = subject.backfill(ReadSpec { deleted: true, ..subject.spec() }).await;
        assert_eq!((told, listed.len()), (None, 0));
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        assert!(subject.by_id(&ids).await.iter().all(|object| object.deleted));
        return;
    }
    let told: BTreeSet<String> = match told {
        Some(deleted) => {
            assert!(deleted.covered_until <= window.until);
            assert!(deleted.covered_until.0 > window.until.0 - 120_000, "most of the window is covered");
            deleted.ids.iter().map(ToString::to_string).collect()
        }
        None => {
            let spec = ReadSpec { deleted: true, ..subject.spec() };
            let listed = subject.backfill(spec).await;
            assert!(listed.values().all(|object| object.deleted && object.version.is_some()));
            listed.into_keys().collect()
        }
    };
    assert_eq!(told, ids.into_iter().collect());
}

async fn searches_find_live_objects(subject: &mut Subject) {
    let mut ann = subject.person("O'Hara\\");
    if subject.words.email != subject.words.last_name {
        ann[subject.words.email] = json!("ann@example.com");
    }
    let ann = subject.users.create(ann).await;
    let ben = subject.users.create(subject.person("Ben")).await;
    let gone = subject.users.create(subject.person("Gone")).await;
    subject.users.delete(&gone).await;
    subject.users.flush().await;
    subject.pass(Duration::from_secs(60));
    let key = |field: &str, value: &str| Key { field: field.to_owned(), value: value.to_owned() };
    let (email, last, title) = (subject.words.email, subject.words.last_name, subject.words.title);
    let cases: [(Vec<Vec<Key>>, Vec<&String>); 7] = [
        (vec![vec![key(email, "ben@example.com")]], vec![&ben]),
        (vec![vec![key(email, "BEN@example.com")]], vec![&ben]),
        (vec![vec![key(last, "O'Hara\\")]], vec![&ann]),
        (
            vec![vec![key(last, "Ben"), key(title, "Engineer")], vec![key(last, "O'Hara\\"), key(title, "None")]],
            vec![&ben],
        ),
        (vec![vec![key(last, "Ben")], vec![key(last, "O'Hara\\")], vec![key(last, "Nobody at all")]], vec![&ann, &ben]),
        (vec![vec![key(email, "gone@example.com")]], vec![]),
        (vec![], vec![]),
    ];
    for (searches, expected) in cases {
        if email == last && searches.iter().flatten().any(|key| key.value.contains('@')) {
            continue;
        }
        let reader = subject.connector.reader();
        let found = reader.find(&subject.credentials, &subject.object(), &searches, &subject.fields()).await;
        let found: BTreeSet<String> = found.expect("an answer").iter().map(|object| object.id.to_string()).collect();
        assert_eq!(found, expected.into_iter().cloned().collect(), "{searches:?}");
    }
    subject.wire.calls();
    let many: Vec<Vec<Key>> = (0..100).map(|n| vec![key(email, &format!("person.number.{n}@example.com"))]).collect();
    subject.connector.reader().find(&subject.credentials, &subject.object(), &many, &[]).await.expect("an answer");
    // Where nothing but the list tells, a page of it is a call, and all addresses share them.
    let pages = subject.users.stored().await.len().div_ceil(100);
    let calls = subject.wire.calls().len();
    assert!(calls <= if subject.words.can.search { 1 } else { pages + 1 }, "{calls} calls for a hundred addresses");
}

async fn the_schema_names_the_key(subject: &mut Subject) {
    let schema = subject.connector.reader().describe(&subject.credentials, &subject.object()).await.expect("a schema");
    let key = &schema.fields[subject.words.key];
    assert!(key.unique && key.writable && !key.calculated, "{key:?}");
    assert!(schema.fields[subject.words.title].writable);
    assert!(!schema.fields[subject.words.last_name].unique);
    if let Some(creator) = subject.connector.fields() {
        let again = creator.create_key_field(&subject.credentials, &subject.object(), subject.words.key).await;
        assert_eq!(again, Ok(()), "a field that exists is no failure");
    }
    let nowhere = subject.connector.reader().describe(&subject.credentials, &"Nothing".into()).await;
    assert_eq!(nowhere.map_err(|error| error.remedy), Err(Remedy::Configure));
}

async fn a_probe_tells_the_time(subject: &mut Subject) {
    let probe = subject.connector.reader().probe(&subject.credentials).await.expect("a probe");
    assert!(probe.now.0 > 1_700_000_000_000, "{probe:?}");
    assert!(!probe.account.is_empty());
}

/// More fields than an address or a search can name: they are read in another way, and are all there.
async fn wide_rows_are_whole(subject: &mut Subject) {
    if !subject.words.can.add_fields {
        return;
    }
    let mut fields = vec![subject.words.last_name.to_owned()];
    for n in 0..170 {
        fields.push(subject.add_field(&format!("property_with_a_long_name_number_{n:03}")).await);
        subject.pass(Duration::from_millis(100));
    }
    let mut ann = subject.person("Ann");
    ann[fields.last().expect("a field").as_str()] = json!("the last");
    let ann = subject.users.create(ann).await;
    subject.users.flush().await;
    subject.pass(Duration::from_secs(120));
    let now = subject.now();
    let object = subject.object();
    let reader = subject.connector.reader();
    let listed = PageRequest {
        object: object.clone(),
        fields: fields.clone(),
        window: None,
        after: None,
        token: None,
        deleted: false,
        limit: 2_000,
    };
    let window = Some(Window { from: now.plus(-200_000), until: now });
    let names = [vec![Key { field: subject.words.last_name.to_owned(), value: "Ann".to_owned() }]];
    let mut found = Vec::new();
    subject.wire.calls();
    for request in [PageRequest { window, ..listed.clone() }, listed] {
        found.extend(reader.page(&subject.credentials, &request).await.expect("a page").objects);
    }
    found.extend(
        reader.by_id(&subject.credentials, &object, &[ann.as_str().into()], &fields, false).await.expect("the row"),
    );
    found.extend(reader.find(&subject.credentials, &object, &names, &fields).await.expect("matches"));
    assert!(subject.wire.calls().len() > 4, "fields that fit into no address take calls of their own");
    assert!(found.len() > 100);
    for object in &found {
        assert_eq!(object.fields.len(), fields.len(), "{}", object.id);
    }
    let ann: Vec<_> = found.iter().filter(|object| object.id.as_str() == ann).collect();
    assert!(ann.len() >= 3, "the window, the id and the search all show the row");
    assert!(ann.iter().all(|object| object.fields[fields.last().expect("a field")] == "the last"));
}

/// Every answer tells of budgets that the connector declares.
async fn answers_tell_of_budgets(subject: &mut Subject) {
    if !subject.words.can.meter {
        return assert!(subject.connector.budgets().is_empty());
    }
    let declared: BTreeSet<String> = subject.connector.budgets().into_iter().map(|facts| facts.name).collect();
    let (probe, told) = overhear(subject.connector.reader().probe(&subject.credentials)).await;
    probe.expect("an answer");
    assert!(!told.is_empty());
    for told in told {
        assert!(declared.contains(told.budget.as_ref()), "{told:?}");
        assert!(told.usage.limit.is_some_and(|limit| told.usage.remaining < limit), "{told:?}");
    }
}
