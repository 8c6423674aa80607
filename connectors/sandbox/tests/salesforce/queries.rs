use serde_json::{Value, json};

use crate::org::{Org, empty, plain};

/// An org with three contacts: Ann (gold, 1.5) at 10:00:00, bob (no e-mail) at 10:00:01, and Çem (at Acme) in the same
/// second as bob.
async fn three() -> (Org, [String; 3]) {
    let org = empty().await;
    let account =
        org.post("/sobjects/Account", json!({ "Name": "Acme", "Industry": "Retail" })).await.body["id"].clone();
    let ann = json!({ "LastName": "Ann", "Email": "ann@x.co", "Tier__c": "gold", "Score__c": 1.5, "DoNotCall": true,
                      "Birthdate": "1990-02-03", "Interests__c": "billing;mobile", "Title": "50% off" });
    let ann = org.contact(ann).await;
    org.seconds(1);
    let bob = org.contact(json!({ "LastName": "bob", "Title": "O'Brien \\ co", "Score__c": -2 })).await;
    let cem = org.contact(json!({ "LastName": "Çem", "Email": "cem@x.co", "AccountId": account })).await;
    (org, [ann, bob, cem])
}

#[tokio::test]
async fn conditions() {
    let (org, [ann, bob, _]) = three().await;
    for (condition, names) in [
        ("Email = 'ANN@x.co'", "Ann"),
        ("Email != 'ann@x.co'", "bob Çem"),
        ("Email = null", "bob"),
        ("Email != null AND NOT (Tier__c = 'gold')", "Çem"),
        ("Email LIKE '%@X.co'", "Ann Çem"),
        ("Email IN ('ann@x.co', 'nobody@x.co')", "Ann"),
        ("Email NOT IN ('ann@x.co')", "bob Çem"),
        ("LastName > 'B'", "bob Çem"),
        ("Title = 'O\\'Brien \\\\ co'", "bob"),
        ("Title LIKE '50\\% %'", "Ann"),
        ("Score__c >= -2 AND Score__c < 1.5", "bob"),
        ("DoNotCall = true", "Ann"),
        ("Birthdate < 2000-01-01", "Ann"),
        ("Interests__c INCLUDES ('mobile;billing', 'security')", "Ann"),
        ("Interests__c EXCLUDES ('mobile')", "bob Çem"),
        ("SystemModstamp > 2026-05-05T10:00:00Z", "bob Çem"),
        ("SystemModstamp = 2026-05-05T12:00:00.000+0200", "Ann"),
        ("CreatedDate = TODAY", "Ann bob Çem"),
        ("CreatedDate < LAST_N_DAYS:3", ""),
        ("Account.Name = 'acme'", "Çem"),
        ("Account.Industry != 'Retail'", "Ann bob"),
        ("Owner.Username LIKE 'user@%'", "Ann bob Çem"),
        ("Contact.LastName = 'Ann'", "Ann"),
        (&format!("Id = '{}'", &ann[..15]), "Ann"),
        (&format!("Id > '{bob}'"), "Çem"),
        (&format!("Id IN ('{ann}','{bob}') AND Email = null"), "bob"),
        (
            &format!(
                "SystemModstamp >= 2026-05-05T09:00:00Z AND SystemModstamp < 2026-05-05T11:00:00Z AND ((SystemModstamp \
                 = 2026-05-05T10:00:01Z AND Id > '{bob}') OR SystemModstamp > 2026-05-05T10:00:01Z)"
            ),
            "Çem",
        ),
    ] {
        let got = org.query(&format!("SELECT LastName FROM Contact WHERE {condition}")).await;
        assert_eq!(got.column("LastName").join(" "), names, "{condition}");
        assert_eq!(got.body["done"], true);
    }
}

#[tokio::test]
async fn order_limit_and_offset() {
    let (org, _) = three().await;
    for (tail, names) in [
        ("ORDER BY LastName", "Ann bob Çem"),
        ("ORDER BY LastName DESC", "Çem bob Ann"),
        ("ORDER BY Email", "bob Ann Çem"),
        ("ORDER BY Email NULLS LAST", "Ann Çem bob"),
        ("ORDER BY Email DESC NULLS LAST", "Çem Ann bob"),
        ("ORDER BY SystemModstamp DESC, LastName", "bob Çem Ann"),
        ("ORDER BY SystemModstamp, Id LIMIT 2", "Ann bob"),
        ("ORDER BY SystemModstamp, Id LIMIT 2 OFFSET 1", "bob Çem"),
        ("ORDER BY Account.Name NULLS LAST, Id DESC", "Çem bob Ann"),
        ("LIMIT 0", ""),
    ] {
        let got = org.query(&format!("SELECT LastName FROM Contact {tail}")).await;
        assert_eq!(got.column("LastName").join(" "), names, "{tail}");
    }
}

#[tokio::test]
async fn what_a_query_shows() {
    let (org, [_, _, cem]) = three().await;
    let got = org.query("select Id, name, Account.Name, Account.Owner.Name, MailingAddress from contact where account.name = 'Acme'").await;
    let record = &got.body["records"][0];
    assert_eq!(record["Id"], cem);
    assert_eq!(record["Name"], "Çem", "names come back as they are defined");
    assert_eq!(record["Account"]["Name"], "Acme");
    assert_eq!(record["Account"]["attributes"]["type"], "Account");
    assert_eq!(record["Account"]["Owner"]["Name"], "integration");
    assert_eq!(record["MailingAddress"], Value::Null);
    assert!(record.get("LastName").is_none());

    let all = org.query("SELECT FIELDS(ALL) FROM Contact LIMIT 1").await;
    assert!(all.body["records"][0].get("Tier__c").is_some());
    let standard = org.query("SELECT FIELDS(STANDARD) FROM Contact").await;
    assert!(standard.body["records"][0].get("Tier__c").is_none());
    let none = org.query("SELECT Account.Name FROM Contact WHERE LastName = 'Ann'").await;
    assert_eq!(none.body["records"][0]["Account"], Value::Null);

    let count = org.query("SELECT COUNT() FROM Contact").await;
    assert_eq!(count.body, json!({ "totalSize": 3, "done": true, "records": [] }));
    let aggregates = org.query("SELECT COUNT(Id), COUNT(Email) mails, MAX(SystemModstamp) FROM Contact").await;
    let row = &aggregates.body["records"][0];
    assert_eq!((&row["expr0"], &row["mails"]), (&json!(3), &json!(2)));
    assert_eq!(row["expr2"], "2026-05-05T10:00:01.000+0000");
}

#[tokio::test]
async fn what_is_no_query_is_refused() {
    let (org, _) = three().await;
    for (soql, code, says) in [
        ("", "MALFORMED_QUERY", "specified"),
        ("SELEC Id FROM Contact", "MALFORMED_QUERY", "SELEC"),
        ("SELECT Id FROM Nope", "INVALID_TYPE", "sObject type 'Nope' is not supported"),
        ("SELECT Nope FROM Contact", "INVALID_FIELD", "No such column 'Nope' on sobject of type Contact"),
        ("SELECT Nope.Id FROM Contact", "INVALID_FIELD", "Didn't understand relationship 'Nope'"),
        ("SELECT Id, id FROM Contact", "INVALID_FIELD", "duplicate field selected"),
        ("SELECT Id FROM Contact WHERE Description = 'x'", "INVALID_FIELD", "can not be filtered"),
        ("SELECT Id FROM Contact WHERE SystemModstamp > '2026-05-05T10:00:00Z'", "INVALID_FIELD", "dateTime"),
        ("SELECT Id FROM Contact WHERE Email = 5", "INVALID_FIELD", "should be enclosed in quotes"),
        ("SELECT Id FROM Contact WHERE DoNotCall > true", "INVALID_FIELD", "invalid operator"),
        ("SELECT Id FROM Contact WHERE Id = 'nonsense'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field"),
        ("SELECT Id FROM Contact OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "offset"),
        ("SELECT FIELDS(ALL) FROM Contact", "MALFORMED_QUERY", "LIMIT of at most 200"),
        ("SELECT FIELDS(CUSTOM) FROM Contact LIMIT 201", "MALFORMED_QUERY", "LIMIT of at most 200"),
    ] {
        let got = org.query(soql).await;
        assert_eq!(got.error(), (400, code), "{soql}");
        assert!(got.body[0]["message"].as_str().unwrap().contains(says), "{soql}: {got:?}");
    }
    // A plus sign that was not encoded is a space.
    let got = org.get("/query?q=SELECT+Id+FROM+Contact+WHERE+SystemModstamp+>+2026-05-05T10:00:00+00:00").await;
    assert_eq!(got.error(), (400, "MALFORMED_QUERY"));
    let long = format!("/query?q=SELECT+Id+FROM+Contact+WHERE+Email+IN+('{}')", "x".repeat(16_400));
    assert_eq!(org.get(&long).await.status, 414);
}

/// Follows a query to its end and returns the ids page by page.
async fn walk(org: &Org, soql: &str, batch: &str) -> Vec<Vec<String>> {
    let mut got = org.query_with(soql, "query", &[("sforce-query-options", batch)]).await;
    let mut pages = Vec::new();
    loop {
        assert_eq!(got.status, 200, "{got:?}");
        pages.push(got.column("Id").into_iter().map(str::to_owned).collect());
        match got.body["nextRecordsUrl"].as_str().map(str::to_owned) {
            Some(next) => {
                assert_eq!(got.body["done"], false);
                got = org.get(&next).await;
            }
            None => {
                assert_eq!(got.body["done"], true);
                return pages;
            }
        }
    }
}

#[tokio::test]
async fn a_long_result_comes_in_pages() {
    let org = plain(2_450).await;
    let soql = "SELECT Id FROM Contact ORDER BY SystemModstamp, Id";
    let sizes = |pages: &[Vec<String>]| pages.iter().map(Vec::len).collect::<Vec<_>>();
    let whole = walk(&org, soql, "").await;
    assert_eq!(sizes(&whole), [2_000, 450]);
    assert_eq!(sizes(&walk(&org, soql, "batchSize=1000").await), [1_000, 1_000, 450]);
    assert_eq!(walk(&org, soql, "batchSize=10").await[0].len(), 200, "the hint has a floor");
    let mut ids: Vec<_> = whole.concat();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), count), (2_450, 2_450));
    // A mass update has stamped most of them in the same second.
    let busiest = "SELECT COUNT() FROM Contact WHERE SystemModstamp = 2024-01-02T01:10:50Z";
    assert_eq!(org.query(busiest).await.body["totalSize"], 1_470);
}

#[tokio::test]
async fn short_pages_are_not_last_pages() {
    let org = plain(500).await;
    org.switch("short_page", true);
    let pages = walk(&org, "SELECT Id FROM Contact", "batchSize=200").await;
    assert!(pages.len() > 3 && pages[..pages.len() - 1].iter().all(|page| page.len() < 200));
    assert_eq!(pages.concat().len(), 500);
    assert!(org.fired("short_page") >= 3);
}

#[tokio::test]
async fn a_locator_expires() {
    let org = plain(2_001).await;
    let open =
        || async { org.query("SELECT Id FROM Contact").await.body["nextRecordsUrl"].as_str().unwrap().to_owned() };
    let next = open().await;
    assert_eq!(org.get(&next).await.body["records"].as_array().unwrap().len(), 1);
    org.switch("locator_expired", true);
    assert_eq!(org.get(&next).await.error(), (400, "INVALID_QUERY_LOCATOR"));
    org.switch("locator_expired", false);
    assert_eq!(org.get(&next).await.error(), (400, "INVALID_QUERY_LOCATOR"), "it stays expired");
    assert_eq!(org.get("/query/nonsense-2000").await.error(), (400, "INVALID_QUERY_LOCATOR"));

    let next = open().await;
    for _ in 0..10 {
        open().await;
    }
    assert_eq!(org.get(&next).await.error(), (400, "INVALID_QUERY_LOCATOR"), "ten cursors can be open");
}

#[tokio::test]
async fn query_all_shows_the_recycle_bin() {
    let (org, [ann, ..]) = three().await;
    org.delete(&format!("/sobjects/Contact/{ann}")).await;
    let soql = "SELECT Id, IsDeleted FROM Contact WHERE IsDeleted = true";
    assert_eq!(org.query(soql).await.body["totalSize"], 0);
    let got = org.query_with(soql, "queryAll", &[]).await;
    assert_eq!((got.column("Id"), &got.body["records"][0]["IsDeleted"]), (vec![ann.as_str()], &json!(true)));
}

#[tokio::test]
async fn reads_by_the_integration_stand_in_the_ledger() {
    let (org, ids) = three().await;
    let after = org.running().parts.ledger.page(0, 1_000).next;
    org.query("SELECT Id FROM Contact ORDER BY Id").await;
    let page = org.running().parts.ledger.page(after, 1_000);
    let read: Vec<_> = page.entries.iter().map(|entry| entry.event.id.as_str()).collect();
    assert_eq!(read, ids);
    assert_eq!(page.entries[0].event.stamp_after.as_deref(), Some("2026-05-05T10:00:00.000+0000"));
}
