//! What readers of the API see.

use std::{collections::BTreeMap, sync::Arc};

use syncline_core::{journal::Ops, live::Cursor, replica::Link, value::Value};
use syncline_server::store::{
    CommitBatch, Store, TenantStore,
    records::{RecordCount, RecordPlace, RecordQuery},
};

use crate::people::*;

async fn all_pages(tenant: &dyn TenantStore, query: RecordQuery) -> Vec<(u64, Cursor)> {
    let (mut after, mut rows, mut pages): (Option<RecordPlace>, Vec<(u64, Cursor)>, u32) = (None, Vec::new(), 0);
    loop {
        let page = tenant.list_records(&RecordQuery { after, ..query.clone() }).await.unwrap();
        assert!(page.rows.len() <= query.limit as usize);
        for row in &page.rows {
            let Value::DateTime(seen) = row.fields["seen"] else { panic!("{row:?}") };
            rows.push(((seen.0 - NOW.0) as u64, row.cursor));
        }
        pages += 1;
        assert!(pages < 100, "the list ends");
        match page.next {
            Some(next) => after = Some(next),
            None => return rows,
        }
    }
}

pub(crate) async fn pages_show_every_record_once_in_the_order_of_change(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 7).await;
    commit_one(&*tenant, edited(load(&*tenant, 2).await, "name", Value::text("x"), NOW.plus(10))).await;
    commit_one(&*tenant, deleted(load(&*tenant, 4).await, NOW.plus(20))).await;
    let order = |rows: Vec<(u64, Cursor)>| rows.into_iter().map(|(n, _)| n).collect::<Vec<_>>();
    let all = RecordQuery { include_deleted: true, limit: 1_000, ..RecordQuery::of("contact".into()) };
    for limit in [1, 2, 3, 6, 7, 8] {
        let query = RecordQuery { limit, ..all.clone() };
        assert_eq!(order(all_pages(&*tenant, query).await), [0, 1, 3, 5, 6, 2, 4], "in pages of {limit}");
    }
    let cursors: Vec<u64> = all_pages(&*tenant, all.clone()).await.into_iter().map(|(_, cursor)| cursor.0).collect();
    assert_eq!(cursors, [1, 2, 4, 6, 7, 8, 9], "a record's cursor is its last place in the feed");
    let live = RecordQuery { include_deleted: false, ..all.clone() };
    assert_eq!(order(all_pages(&*tenant, live).await), [0, 1, 3, 5, 6, 2]);
    let recent = RecordQuery { modified_since: Some(NOW.plus(10)), ..all.clone() };
    assert_eq!(order(all_pages(&*tenant, recent).await), [2, 4]);
    let other = RecordQuery { model: "company".into(), ..all };
    assert!(all_pages(&*tenant, other).await.is_empty());
}

pub(crate) async fn filters_compare_canonical_values(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 6).await;
    let mut blank = person(6);
    blank.insert("name".into(), Value::Null);
    blank.remove("email");
    blank.insert("visits".into(), Value::text("3"));
    commit_one(&*tenant, newborn_with(&acme(), 6, blank)).await;
    let cases: [(&str, Value, &[u64]); 13] = [
        ("email", Value::text("person3@example.com"), &[3]),
        ("email", Value::text("PERSON3@example.com"), &[]),
        ("name", Value::text("Zoë \"3\" O’Neil\u{a0}\n"), &[3]),
        ("vip", Value::Bool(true), &[0, 2, 4, 6]),
        ("visits", Value::Int(3), &[3]),
        ("visits", Value::text("3"), &[6]),
        ("amount", Value::Decimal("3.25".parse().unwrap()), &[3]),
        ("born", Value::Date(jiff::civil::date(1980, 2, 29)), &[0, 1, 2, 3, 4, 5, 6]),
        ("seen", Value::DateTime(NOW.plus(3)), &[3]),
        ("tags", Value::text("group1"), &[1, 4]),
        ("tags", Value::Set(["all".into(), "group1".into()].into()), &[1, 4]),
        ("email", Value::Null, &[6]),
        ("name", Value::Null, &[6]),
    ];
    for (field, value, wanted) in cases {
        let equals = BTreeMap::from([(field.into(), value.clone())]);
        let query = RecordQuery { equals, ..RecordQuery::of("contact".into()) };
        let found: Vec<u64> = all_pages(&*tenant, query).await.into_iter().map(|(n, _)| n).collect();
        assert_eq!(found, wanted, "{field} = {value:?}");
    }
    let both = BTreeMap::from([("vip".into(), Value::Bool(true)), ("tags".into(), Value::text("group1"))]);
    let query = RecordQuery { equals: both, ..RecordQuery::of("contact".into()) };
    assert_eq!(all_pages(&*tenant, query).await.into_iter().map(|(n, _)| n).collect::<Vec<_>>(), [4]);
}

pub(crate) async fn a_record_shows_its_links_and_origins(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 1).await;
    commit_one(&*tenant, edited(load(&*tenant, 0).await, "name", Value::text("x"), NOW.plus(1))).await;
    let id = id_of(&acme(), 0);
    let row = tenant.get_record(&"contact".into(), id).await.unwrap().unwrap();
    assert_eq!((row.id, row.version, row.cursor), (id, 2, Cursor(2)));
    assert_eq!((row.first_seen_at, row.last_modified_at, row.deleted), (NOW, NOW.plus(1), None));
    assert_eq!(row.origin(&"name".into()), Some("client:app"));
    assert_eq!(row.origin(&"email".into()), Some("acme-crm"));
    assert_eq!(row.links[&crm()].link, Link::Linked { id: external(0) });
    assert_eq!(row.links[&desk()].link, Link::Unlinked);
    let linked: Vec<_> = row.linked().map(|(connection, object, id)| (connection, object.as_str(), id)).collect();
    assert_eq!(linked, [(&crm(), "Contact", &external(0))]);

    assert!(tenant.get_record(&"company".into(), id).await.unwrap().is_none(), "a record belongs to its model");
    commit_one(&*tenant, deleted(load(&*tenant, 0).await, NOW.plus(2))).await;
    let row = tenant.get_record(&"contact".into(), id).await.unwrap().unwrap();
    assert_eq!(row.deleted, Some(NOW.plus(2)), "a deleted record is still read by its id");
}

pub(crate) async fn history_tells_who_wrote_what_in_order(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 2).await;
    for (n, value) in ["a", "b", "c"].into_iter().enumerate() {
        commit_one(&*tenant, edited(load(&*tenant, 0).await, "name", Value::text(value), NOW.plus(n as i64))).await;
    }
    let id = id_of(&acme(), 0);
    let history = tenant.history(&"contact".into(), id).await.unwrap().unwrap();
    assert_eq!(history, load(&*tenant, 0).await.journal);
    assert!(matches!(history[0].ops, Ops::Genesis { .. }));
    let values: Vec<&Value> = history[1..]
        .iter()
        .map(|entry| match &entry.ops {
            Ops::Edit(ops) => &ops["name"].value,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(values, [&Value::text("a"), &Value::text("b"), &Value::text("c")]);
    assert_eq!(tenant.history(&"contact".into(), id_of(&acme(), 1)).await.unwrap().unwrap().len(), 1);
    assert_eq!(tenant.history(&"contact".into(), id_of(&acme(), 9)).await.unwrap(), None);
    assert_eq!(tenant.history(&"company".into(), id).await.unwrap(), None);
}

pub(crate) async fn records_are_counted_by_model(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 3).await;
    commit_one(&*tenant, deleted(load(&*tenant, 0).await, NOW)).await;
    let mut company = newborn(&acme(), 10);
    company.state.model = "company".into();
    tenant.commit(CommitBatch::of(vec![company])).await.unwrap();
    let counts = tenant.count_records().await.unwrap();
    let wanted = BTreeMap::from([
        ("company".into(), RecordCount { live: 1, deleted: 0 }),
        ("contact".into(), RecordCount { live: 2, deleted: 1 }),
    ]);
    assert_eq!(counts, wanted);
}
