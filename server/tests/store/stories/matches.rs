//! Finding the record that an object is.

use std::sync::Arc;

use syncline_core::{matching::MatchKey, replica::Link, value::Value};
use syncline_server::store::{CommitBatch, RecordCommit, Store};

use crate::people::*;

fn key(name: &str, value: &str) -> MatchKey {
    MatchKey { name: name.into(), value: value.into() }
}

pub(crate) async fn records_are_found_by_their_present_match_keys(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 3).await;
    let mut twin = newborn(&acme(), 30);
    twin.match_keys = Some(vec![key("email", "person1@example.com")]);
    commit_one(&*tenant, twin).await;
    let wanted = [key("email", "person1@example.com"), key("email", "person2@example.com"), key("email", "nobody")];
    let mut found = tenant.find_matches(&"contact".into(), &wanted).await.unwrap();
    found.values_mut().for_each(|ids| ids.sort_unstable());
    let mut both = vec![id_of(&acme(), 1), id_of(&acme(), 30)];
    both.sort_unstable();
    assert_eq!(found.len(), 2, "a key that nobody has is left out: {found:?}");
    assert_eq!(found[&wanted[0]], both);
    assert_eq!(found[&wanted[1]], [id_of(&acme(), 2)]);

    // The same value under another key or model is another key.
    let other = tenant.find_matches(&"contact".into(), &[key("phone", "person1@example.com")]).await.unwrap();
    assert!(other.is_empty());
    assert!(tenant.find_matches(&"company".into(), &wanted).await.unwrap().is_empty());

    // Keys move with the values; a commit that does not speak of them leaves them.
    commit_one(&*tenant, edited(load(&*tenant, 2).await, "email", Value::text("moved@example.com"), NOW)).await;
    let mut touch = RecordCommit::new(load(&*tenant, 2).await);
    touch.touched.insert(crm());
    commit_one(&*tenant, touch).await;
    let found =
        tenant.find_matches(&"contact".into(), &[wanted[1].clone(), key("email", "moved@example.com")]).await.unwrap();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [(key("email", "moved@example.com"), vec![id_of(&acme(), 2)])]);
}

pub(crate) async fn deleted_records_match_nothing(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 2).await;
    commit_one(&*tenant, deleted(load(&*tenant, 0).await, NOW)).await;
    let wanted = [key("email", "person0@example.com"), key("email", "person1@example.com")];
    let found = tenant.find_matches(&"contact".into(), &wanted).await.unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), [&wanted[1]]);
}

pub(crate) async fn objects_are_found_by_present_ids_and_aliases(store: Arc<dyn Store>) {
    let tenant = store.tenant(&acme());
    let mut commit = newborn(&acme(), 0);
    commit.aliases = vec![reference(crm(), "003-\"old\"\u{1F600}".into())];
    tenant.commit(CommitBatch::of(vec![commit, newborn(&acme(), 1)])).await.unwrap();
    let wanted = [external(0), external(1), external(2), "003-\"old\"\u{1F600}".into()];
    let found = tenant.find_replicas(&crm(), &"Contact".into(), &wanted).await.unwrap();
    assert_eq!(found.len(), 3);
    assert_eq!(found[&wanted[3]], id_of(&acme(), 0));
    assert_eq!(found[&wanted[1]], id_of(&acme(), 1));
    for (connection, object) in [(desk(), "Contact"), (crm(), "Lead"), ("unknown".into(), "Contact")] {
        assert!(tenant.find_replicas(&connection, &object.into(), &wanted).await.unwrap().is_empty());
    }

    // A record that is linked anew is still found by the object that it was.
    let mut relinked = RecordCommit::new(load(&*tenant, 0).await);
    relinked.state.replicas.get_mut(&crm()).unwrap().link = Link::Linked { id: "003-new".into() };
    relinked.touched.insert(crm());
    commit_one(&*tenant, relinked).await;
    let found = tenant.find_replicas(&crm(), &"Contact".into(), &[external(0), "003-new".into()]).await.unwrap();
    assert!(found.len() == 2 && found.values().all(|id| *id == id_of(&acme(), 0)), "{found:?}");
}

pub(crate) async fn linked_objects_are_listed_page_by_page(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 5).await;
    let object = "Contact".into();
    let (mut after, mut listed) = (None, Vec::new());
    loop {
        let page = tenant.linked_ids(&crm(), &object, after.as_ref(), 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.clone());
        listed.extend(page);
    }
    assert_eq!(listed, (0..5).map(external).collect::<Vec<_>>());
    assert!(tenant.linked_ids(&desk(), &object, None, 10).await.unwrap().is_empty());
    assert!(tenant.linked_ids(&crm(), &"Lead".into(), None, 10).await.unwrap().is_empty());
}
