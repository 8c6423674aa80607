//! Databases as files: what an examination finds, backups of a store in use, and the life of a store that was restored.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

use sqlx::Connection;
use syncline_core::{
    document::Actor,
    live::Cursor,
    reconcile::Input,
    value::{Fields, Value},
    writer::WriterEpochs,
};
use syncline_server::{
    engine::intake::{Arrival, ClientChanges, OwnActors},
    secrets::Sealed,
    store::{
        CommitBatch, Store, StoreError, WRITER_EPOCHS,
        documents::ActorClaim,
        feed::Changes,
        sqlite::{
            SqliteStore,
            check::{self, Fault, Models},
            copy::{self, CopyError},
        },
    },
};

use crate::{
    Home,
    ground::{Ground, LATE, Past, edited_by_app, known},
    people::*,
};

/// The time of a restore, in seconds.
const LATER: u32 = 1_800_000_000;

fn models() -> Models {
    BTreeMap::from([((acme(), contact().name), contact())])
}

async fn examine(home: &Home) -> Vec<Fault> {
    check::examine(&home.file(), Some(&models()), |_| ()).await.unwrap()
}

fn backup_in(home: &Home) -> PathBuf {
    home.folder.path().join("backup.db")
}

/// Each contradiction is named, and what can be mended without losing anything is mended. Fails for each line whose query or
/// comparison is taken out of `check`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_examination_names_what_is_wrong_and_mends_what_it_can() {
    for (statement, expected, mends) in [
        ("UPDATE records SET document = x'00' WHERE pk = 1", "damaged", true),
        ("UPDATE records SET document = x'' WHERE pk = 3", "damaged", true),
        ("UPDATE records SET fields = json_set(fields, '$.name', 'Eve') WHERE pk = 2", "differ in name", false),
        ("UPDATE records SET document_sum = NULL", "no checksum yet", true),
        ("UPDATE changes SET chunk = x'00'", "does not hold its document", true),
        ("DELETE FROM links", "leads to no record", true),
        ("UPDATE links SET record = 77", "leads to no record", true),
        ("DELETE FROM match_keys", "match keys are not those", true),
        ("INSERT INTO match_keys VALUES (zeroblob(16), 1)", "match keys are not those", true),
        ("INSERT INTO journal VALUES (77, 1, 1, '{}')", "journal entry", true),
        (
            "INSERT INTO conflicts (tenant, record, model, field, loser, winner, conflict) \
          VALUES (1, 77, 'contact', 'name', x'00', x'01', '{}')",
            "conflict row",
            true,
        ),
        ("UPDATE replicas SET connection = 77 WHERE record = 1", "a connection that does not exist", false),
        ("UPDATE replicas SET delivery = 1, due = NULL WHERE record = 1", "owed at no time", false),
        ("DELETE FROM feed WHERE seq = 1", "the feed of tenant acme", false),
        ("UPDATE records SET changed = 1000 WHERE pk = 1", "has not reached", false),
        ("INSERT INTO checkpoints VALUES (1, 'contacts', 1, 'changes', 'no JSON')", "checkpoint cannot be read", false),
        (
            "INSERT INTO document_chunks (tenant, id, n, chunk) VALUES (1, zeroblob(16), 0, x'00')",
            "chunks belong",
            true,
        ),
        ("UPDATE replicas SET baseline = 'no JSON' WHERE record = 1", "cannot be read", false),
    ] {
        let ground = Ground::new().await;
        ground.live_through(1, Past::Unedited).await;
        ground.live_through(2, Past::Edited).await;
        ground.live_through(3, Past::RenewedAndEdited).await;
        assert_eq!(examine(&ground.home).await, [], "a store in use is sound");
        let mut stranger = ground.stranger().await;
        sqlx::query(statement).execute(&mut stranger).await.unwrap();
        stranger.close().await.unwrap();
        let faults = examine(&ground.home).await;
        assert!(faults.iter().any(|fault| fault.to_string().contains(expected)), "{statement}: {faults:?}");

        let refused = check::repair(&ground.home.file(), &models()).await;
        assert!(matches!(refused, Err(StoreError::InUse { .. })), "not while a server holds it");
        let Ground { home, store, .. } = ground;
        store.close().await.unwrap();
        drop(store);
        let repaired = check::repair(&home.file(), &models()).await.unwrap();
        let left = examine(&home).await;
        assert_eq!((repaired.anything(), left.is_empty()), (mends, mends), "{statement}: {repaired:?}, {left:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_with_a_damaged_page_is_told_from_a_sound_one() {
    let home = Home::new();
    let store = home.open().await;
    populate(&*store, 200).await;
    store.close().await.unwrap();
    drop(store);
    let mut bytes = fs::read(home.file()).unwrap();
    let middle = bytes.len() / 2 / 4_096 * 4_096;
    bytes[middle..middle + 512].fill(0xa5);
    fs::write(home.file(), bytes).unwrap();
    let faults = examine(&home).await;
    assert!(faults.iter().any(|fault| fault.is_damage() && fault.place == "the file"), "{faults:?}");
    let refused = copy::backup(&home.file(), &backup_in(&home)).await.unwrap_err();
    assert!(!backup_in(&home).exists(), "no damaged backup is left: {refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_store_in_use_is_one_moment_of_it_and_overwrites_nothing() {
    let home = Home::new();
    let store = home.open().await;
    let tenant = populate(&*store, 50).await;
    let (database, to) = (home.file(), backup_in(&home));
    let writing = async {
        for n in 50..120 {
            commit_one(&*tenant, newborn(&acme(), n)).await;
        }
    };
    let (made, ()) = tokio::join!(copy::backup(&database, &to), writing);
    made.unwrap();
    assert_eq!(check::examine(&to, Some(&models()), |_| ()).await.unwrap(), []);
    let before = fs::read(&to).unwrap();
    let refused = copy::backup(&database, &to).await.unwrap_err();
    assert!(matches!(&refused, CopyError::Exists(path) if *path == to), "{refused}");
    assert_eq!(fs::read(&to).unwrap(), before);
    let names: Vec<_> = fs::read_dir(home.folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("partial")), "{names:?}");
    let copy = SqliteStore::open(&to).await.unwrap();
    let found = copy.tenant(&acme()).feed_span().await.unwrap().head.0;
    assert!((50..=120).contains(&found));
    assert_eq!(copy.tenant(&acme()).count_records().await.unwrap()[&contact().name].live, found);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_is_refused_while_a_server_holds_the_store_and_of_what_is_no_backup() {
    let home = Home::new();
    let store = home.open().await;
    populate(&*store, 3).await;
    let backup = backup_in(&home);
    copy::backup(&home.file(), &backup).await.unwrap();
    let refused = copy::restore(&backup, &home.file(), LATER).await.unwrap_err();
    assert!(matches!(refused, CopyError::Store(StoreError::InUse { .. })), "{refused}");
    store.close().await.unwrap();
    drop(store);
    fs::write(&backup, "no database at all".repeat(500)).unwrap();
    let before = fs::read(home.file()).unwrap();
    assert!(copy::restore(&backup, &home.file(), LATER).await.is_err());
    assert_eq!(fs::read(home.file()).unwrap(), before, "the store is as it was");
}

/// Numbers that others remember go on above all that they can remember. Fails without `copy::leap`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_store_goes_on_above_everything_that_it_forgot() {
    let home = Home::new();
    let store = home.open().await;
    let tenant = populate(&*store, 3).await;
    let backup = backup_in(&home);
    copy::backup(&home.file(), &backup).await.unwrap();
    // What is lost: an edit, a record, ticks, an actor, credentials.
    commit_one(&*tenant, edited(load(&*tenant, 1).await, "name", Value::text("lost"), NOW.plus(5))).await;
    commit_one(&*tenant, newborn(&acme(), 7)).await;
    let (told, ticks) = (tenant.feed_span().await.unwrap().head, store.reserve_ticks(1_000).await.unwrap());
    let version = load(&*tenant, 1).await.version;
    let claim = ActorClaim { actor: vec![3; 16], principal: "phone".into() };
    tenant.commit(CommitBatch { actors: vec![claim], ..CommitBatch::default() }).await.unwrap();
    tenant.put_credentials(&crm(), &Sealed::from_bytes(b"rotated".to_vec()), NOW.plus(9)).await.unwrap();
    store.close().await.unwrap();
    drop((store, tenant));

    let restored = copy::restore(&backup, &home.file(), LATER).await.unwrap();
    assert_eq!(restored.writer, WriterEpochs { current: LATER, retired: vec![1] });
    assert_eq!(restored.not_carried, None);
    let aside = SqliteStore::open(restored.aside.unwrap()).await.unwrap();
    assert_eq!(load(&*aside.tenant(&acme()), 7).await.fields, person(7), "what was there is kept");
    aside.close().await.unwrap();

    let store = home.open().await;
    let tenant = store.tenant(&acme());
    assert_eq!(examine(&home).await, []);
    assert!(tenant.load(&[id_of(&acme(), 7)]).await.unwrap().is_empty());
    let record = load(&*tenant, 1).await;
    assert!(record.version > version && record.fields == person(1));
    assert!(store.reserve_ticks(1).await.unwrap() > ticks);
    for cursor in [Cursor(0), Cursor(3), told] {
        let changes = tenant.changes(cursor, &[], 10).await.unwrap();
        assert!(matches!(changes, Changes::TooOld { .. }), "{cursor:?} is told to begin anew: {changes:?}");
    }
    assert_eq!(tenant.actor_owners(&[vec![3; 16]]).await.unwrap()[&vec![3; 16]], "phone");
    let credentials = tenant.credentials(&crm()).await.unwrap().unwrap();
    assert_eq!(credentials.as_bytes(), b"rotated", "tokens that a provider has rotated are not rolled back");
    assert!(store.setting(WRITER_EPOCHS).await.unwrap().is_some());
}

/// A client holds changes that the restored store has forgotten, its own among those of the service. They come in again, and
/// nothing that the service has written since bears the name of a forgotten change. Fails if the writer epoch is not raised
/// (`DuplicateSeqNumber`), or if retired actors stay reserved (the client's own changes are refused with the service's).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_store_forgot_comes_back_from_a_client() {
    let ground = Ground::new().await;
    ground.live_through(1, Past::Unedited).await;
    let backup = backup_in(&ground.home);
    copy::backup(&ground.home.file(), &backup).await.unwrap();
    let record = id_of(&acme(), 1);
    let known_heads = load(&*ground.tenant(), 1).await.document.automerge().unwrap().get_heads();

    // The lost life: the service writes for the API and for the CRM, and the client on top of that.
    ground.take(vec![edited_by_app(1, "lost, by the app")]).await;
    ground.take(vec![ground.shows(1, "lost, by the crm", LATE).await]).await;
    let mut client = load(&*ground.tenant(), 1).await.document.automerge().unwrap().clone();
    client.set_actor(automerge::ActorId::from([9_u8; 16]));
    let mut tx = client.transaction();
    let fields = automerge::ReadDoc::get(&tx, automerge::ROOT, "fields").unwrap().unwrap().1;
    automerge::transaction::Transactable::put(&mut tx, &fields, "email", "offline@example.com").unwrap();
    tx.commit();
    let Ground { home, store, mut plan } = ground;
    store.close().await.unwrap();
    drop(store);

    plan.writer = copy::restore(&backup, &home.file(), LATER).await.unwrap().writer;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(home.file()).await.unwrap());
    let ground = Ground { home, store, plan };
    // The new life begins with other edits by the same hands.
    ground.take(vec![edited_by_app(1, "new, by the app")]).await;
    ground.take(vec![ground.shows(1, "new, by the crm", 2 * LATE).await]).await;

    let own = |epoch| {
        let tenant = acme();
        vec![
            Actor::service(&tenant, epoch),
            Actor::connection(&tenant, &crm(), epoch),
            Actor::principal(&tenant, "app", epoch),
        ]
    };
    let changes = client.get_changes(&known_heads);
    assert!(changes.len() >= 3, "the client's change follows those of the service");
    let own = Arc::new(OwnActors { current: own(LATER), retired: own(1) });
    let offered = ClientChanges { principal: "phone".into(), changes, own: own.clone() };
    let received = Arrival::Received { record, changes: Arc::new(offered) };
    let heard = ground.take(vec![received]).await.heard.pop().unwrap().1;
    assert_eq!((heard.refusal, heard.missing), (None, Vec::new()));

    let mut state = load(&*ground.tenant(), 1).await;
    assert_eq!(state.fields["email"], Value::text("offline@example.com"), "the client's edit is there");
    assert_eq!(state.document.fields(&contact()).unwrap(), state.fields);
    let mut merged = state.document.automerge().unwrap().clone();
    merged.merge(&mut client).expect("nothing bears the name of something else");
    assert_eq!(merged.get_heads(), state.document.automerge().unwrap().get_heads(), "it holds all that the client has");
    let names = ["new, by the crm", "lost, by the crm"].map(Value::text);
    assert!(names.contains(&state.fields["name"]));

    // The actors of the present life stay the service's own.
    let mut forger = state.document.automerge().unwrap().clone();
    let service = Actor::service(&acme(), LATER);
    let forged = forge(&mut forger, &service);
    let offered = ClientChanges { principal: "phone".into(), changes: vec![forged], own };
    let heard =
        ground.take(vec![Arrival::Received { record, changes: Arc::new(offered) }]).await.heard.pop().unwrap().1;
    assert!(heard.refusal.is_some());
    let owners = ground.tenant().actor_owners(&[vec![9; 16]]).await.unwrap();
    assert_eq!(owners.values().collect::<Vec<_>>(), ["phone"], "retired actors become nobody's");
}

/// A change by one of the service's actors.
fn forge(document: &mut automerge::Automerge, as_actor: &Actor) -> automerge::Change {
    use automerge::{ReadDoc, transaction::Transactable};
    let actor = document
        .get_changes(&[])
        .iter()
        .map(|change| change.actor_id().clone())
        .find(|actor| as_actor.is_borrowed_by(actor))
        .expect("the service has written in this life");
    document.set_actor(actor);
    let mut tx = document.transaction();
    let fields = tx.get(automerge::ROOT, "fields").unwrap().unwrap().1;
    tx.put(&fields, "name", "forged").unwrap();
    tx.commit();
    document.get_last_local_change().expect("the change that was just made").clone()
}

/// A record that came to be after the backup: seen again, it gets a document that no client can have; the document that a
/// client has of it goes into it as edits. Fails without `WriterEpochs::record_epoch` in `newborn`, which gives two documents
/// with different beginnings the same id, and without the look at the record's own id in `Working::begun`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_of_the_lost_life_is_found_again_under_another_document() {
    let ground = Ground::new().await;
    ground.live_through(1, Past::Unedited).await;
    let backup = backup_in(&ground.home);
    copy::backup(&ground.home.file(), &backup).await.unwrap();
    let mut lost = ground.live_through(2, Past::Edited).await;
    let document = lost.document_id();
    let changes = lost.document.automerge().unwrap().get_changes(&[]);
    let Ground { home, store, mut plan } = ground;
    store.close().await.unwrap();
    drop(store);
    plan.writer = copy::restore(&backup, &home.file(), LATER).await.unwrap().writer;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(home.file()).await.unwrap());
    let ground = Ground { home, store, plan };

    ground.take(vec![ground.shows(2, "seen again", 0).await]).await;
    let again = load(&*ground.tenant(), 2).await;
    assert_eq!(again.id, lost.id);
    assert_ne!(again.document_id(), document, "the lost document's id is not given to another");
    let own = Arc::new(OwnActors { current: Vec::new(), retired: vec![Actor::connection(&acme(), &crm(), 1)] });
    let offered = ClientChanges { principal: "phone".into(), changes, own };
    let fields = Fields::from([("name".into(), lost.fields["name"].clone())]);
    let begun = Arrival::Begun { record: document.record(), document, changes: Arc::new(offered), fields };
    assert_eq!(ground.take(vec![begun]).await.records, [Some(again.id)]);
    let moved = ground.tenant().moved_into(again.id).await.unwrap();
    assert_eq!(moved, [document], "the client is told where its document went");
    ground.take(vec![known(again.id, Input::Renew)]).await;
    assert_eq!(examine(&ground.home).await, []);
}
