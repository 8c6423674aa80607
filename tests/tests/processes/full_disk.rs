//! The disk that holds the database is full: nothing is acknowledged, everything that was is kept, and nobody has to start
//! anything again once there is room.

use std::{
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use reqwest::Method;
use serde_json::{Value as Json, json};
use syncline_client::{Cursor, Event, Subscribe};

use crate::{
    accounts::Object,
    api::{KEY, id_of},
    patience::eventually,
    stage::Stage,
};

/// Room for a small database and its log, and soon used up.
const DISK: &str = "size=6m";
/// Set for this test where it runs in a namespace of its own.
const INSIDE: &str = "SYNCLINE_TEST_NAMESPACE";

/// A small disk of its own.
struct Disk {
    folder: PathBuf,
    filling: PathBuf,
}

impl Disk {
    /// Mounts a disk, where this process may.
    fn mount(folder: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", DISK, "tmpfs"]).arg(folder).stdin(Stdio::null());
        let output = mount.output().map_err(|error| format!("`mount` cannot be run: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        Ok(Self { folder: folder.to_owned(), filling: folder.join("filling") })
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut file = std::fs::File::options().append(true).create(true).open(&self.filling).expect("a file");
        // A whole page first, then what is left of one.
        for block in [vec![0; 4_096], vec![0; 1]] {
            let full = loop {
                match file.write_all(&block) {
                    Ok(()) => {}
                    Err(error) => break error,
                }
            };
            assert_eq!(full.kind(), ErrorKind::StorageFull, "{full}");
        }
    }

    /// Gives the room back.
    fn free(&self) {
        std::fs::remove_file(&self.filling).expect("the file goes");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A disk that cannot be let go of now goes with the container.
        let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
    }
}

/// Runs this test again as root of a namespace of its own, in which anybody may mount.
fn again_in_a_namespace(test: &str, why: &str) {
    assert!(std::env::var_os(INSIDE).is_none(), "even root of a namespace of its own may mount no tmpfs: {why}");
    let program = std::env::current_exe().expect("a test knows its own path");
    let mut again = Command::new("unshare");
    again.args(["-rm"]).arg(program).args(["--exact", test, "--nocapture"]).env(INSIDE, "1").stdin(Stdio::null());
    let output = again.output();
    let said = |output: &std::process::Output| {
        format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    match output {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!(
            "this story needs a small disk: neither `mount -t tmpfs` ({why}) nor `unshare -rm` was of use; run it as root of a \
             container with CAP_SYS_ADMIN, or allow user namespaces\n{}",
            said(&output)
        ),
        Err(error) => panic!("this story needs a small disk: `mount -t tmpfs`: {why}; `unshare -rm`: {error}"),
    }
}

/// Fails where a write is acknowledged before it is committed, where a full disk's error ends the writer's connection
/// (`Session::roll_back` tolerates that SQLite has rolled back by itself), and where a webhook is answered before its hints
/// are stored.
#[tokio::test(flavor = "multi_thread")]
async fn row_26_a_full_disk_is_no_acknowledgement_and_ends_by_itself() {
    let stage = Stage::set(3, 3).await;
    let disk = match Disk::mount(&stage.file("disk")) {
        Ok(disk) => disk,
        Err(why) => {
            return again_in_a_namespace(
                "full_disk::row_26_a_full_disk_is_no_acknowledgement_and_ends_by_itself",
                &why,
            );
        }
    };
    let (salesforce, hubspot) = (stage.salesforce(), stage.hubspot());
    stage.amend("database: syncline.db", "database: disk/syncline.db");
    // Only webhooks can bring what happens there from now on.
    stage.amend("poll: 300ms\n        mapping: {email: email", "poll: 3h\n        mapping: {email: email");
    hubspot.push_to(&format!("{}/v1/webhooks/{}", stage.url(), hubspot.words.connection)).await;
    let server = stage.serve().await;
    let records = server.agree().await.records;
    let (_, record) = records.first_key_value().expect("a record");
    let id = id_of(record);
    let api = syncline_client::Api::new(&stage.url(), KEY).expect("an address");
    let (_, end) = server.api.changes(0).await;
    let subscribe = Subscribe { models: vec!["contact".into()], cursor: Some(Cursor(end)), ..Subscribe::default() };
    let mut live = api.live(subscribe).await.expect("a subscription");
    assert!(matches!(live.next().await, Ok(Event::Subscribed(_))));

    disk.fill();
    let path = format!("/v1/records/contact/{id}");
    let mut acknowledged = record["title"].clone();
    let refused = eventually("a write is refused", async || {
        // What still fits is acknowledged, and then must stay.
        let title = json!(format!("{}!", acknowledged.as_str().unwrap_or_default()));
        let reply = server.api.call(Method::PATCH, &path, Some(&json!({ "title": title }))).await;
        if reply.status == 200 {
            acknowledged = title;
            disk.fill();
            return Err("it was taken".to_owned());
        }
        Ok(reply)
    })
    .await;
    refused.refused(503, "disk");
    assert_eq!(server.api.record(&id).await["title"], acknowledged, "reads go on, and show what was acknowledged");
    server.api.changes(0).await;

    // Users go on. What a platform pushes is not acknowledged, so it comes again.
    let (edited, known) = salesforce.objects().await.pop_first().expect("an object");
    salesforce.edit(&edited, &[("phone", "+49301111111")]).await;
    let somebody_else = |object: &Object| !object.fields["email"].eq_ignore_ascii_case(&known.fields["email"]);
    let pushed = hubspot.objects().await.into_values().find(somebody_else).expect("an object");
    hubspot.edit(&pushed.id, &[("phone", "+49302222222")]).await;
    for _ in 0..20 {
        let body = json!({"title": "Never acknowledged"});
        server.api.call(Method::PATCH, &path, Some(&body)).await.refused(503, "disk");
    }

    disk.free();
    let agreement = server.agree().await;
    assert_eq!(agreement.records[&id]["title"], acknowledged, "what was refused is nowhere");
    let phones: Vec<&Json> = agreement.records.values().map(|record| &record["phone"]).collect();
    for phone in ["+49301111111", "+49302222222"] {
        assert!(phones.contains(&&json!(phone)), "{phone} is not among {phones:?}");
    }
    let done = server.api.patch(&id, &json!({"title": "Room again"})).await;
    assert_eq!(done["title"], "Room again");
    eventually("the subscriber hears of it", async || match live.next().await {
        Ok(Event::Change(change)) if change.event.fields["title"] == "Room again" => Ok(()),
        Ok(Event::Change(change)) => Err(format!("{change:?}")),
        other => panic!("the subscriber was cut off: {other:?}"),
    })
    .await;
    server.agree().await;
    server.writes_nothing_in_vain();
    server.end();
}
