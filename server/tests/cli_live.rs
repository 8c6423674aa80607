//! The client's live subscription against the real server, through a power cut.

mod harness;

use harness::{KEY, Stage, block_on};
use syncline_client::{Api, Event, JsonFields, Live, Subscribe};

fn contact(last_name: &str) -> JsonFields {
    JsonFields::from_iter([("last_name".to_owned(), last_name.into())])
}

/// The next change, with the losses of the connection before it.
async fn next_change(live: &mut Live) -> (String, usize) {
    let mut losses = 0;
    loop {
        match live.next().await.expect("the subscription stands") {
            Event::Change(change) => {
                return (change.event.fields["last_name"].as_str().unwrap_or_default().to_owned(), losses);
            }
            Event::Lost(_) => losses += 1,
            Event::Resync(cursor) => panic!("changes were left out before {}", cursor.0),
            Event::Subscribed(_) | Event::Snapshot(_) | Event::SnapshotEnd(_) => {}
        }
    }
}

#[test]
fn a_subscription_shows_what_is_there_then_every_change_also_through_a_power_cut() {
    let stage = Stage::set(0);
    let server = stage.serve();
    let address = server.api.clone();
    block_on(async {
        let api = Api::new(&address, KEY).unwrap();
        api.create_record("contact", &contact("Before"), None).await.unwrap();

        let mut live = api.live(Subscribe { snapshot: true, ..Subscribe::default() }).await.unwrap();
        let mut shown = Vec::new();
        loop {
            match live.next().await.unwrap() {
                Event::Snapshot(rows) => shown.extend(rows.into_iter().map(|row| row.fields["last_name"].clone())),
                Event::SnapshotEnd(_) => break,
                _ => {}
            }
        }
        assert_eq!(shown, ["Before"]);
        api.create_record("contact", &contact("During"), None).await.unwrap();
        assert_eq!(next_change(&mut live).await, ("During".to_owned(), 0));

        server.kill();
        let server = stage.serve();
        api.create_record("contact", &contact("After"), None).await.unwrap();
        let (last_name, losses) = next_change(&mut live).await;
        assert_eq!(last_name, "After", "what was seen before the cut is not shown again");
        assert!(losses > 0, "the client says that the connection was lost");
        server.end();
    });
}

#[test]
fn a_refused_subscription_says_why() {
    let stage = Stage::set(0);
    let server = stage.serve();
    block_on(async {
        let refused = Api::new(&server.api, "not-the-key").unwrap().live(Subscribe::default()).await;
        assert_eq!(refused.err().and_then(|error| error.status()), Some(401));
        let subscribe = Subscribe { models: vec!["person".into()], ..Subscribe::default() };
        let mut live = Api::new(&server.api, KEY).unwrap().live(subscribe).await.unwrap();
        let refused = live.next().await.expect_err("there is no such model").to_string();
        assert!(refused.contains("person"), "{refused}");
    });
    server.end();
}
