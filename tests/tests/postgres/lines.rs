//! Lines that break while a row is written: what was certainly not written is told from what nobody knows.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::json;
use syncline_core::remote::{Remedy, WriteOutcome};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::lab::{Lab, id_of};

/// Where a line breaks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Break {
    /// Before the server hears the words.
    Before,
    /// When the server has answered them, and before we hear it.
    After,
}

/// A line to a server that breaks, once it is armed, at these words of ours; the port at which it begins.
async fn line(to: u16, words: &'static str, at: Break, armed: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", to)).await.expect("the server listens");
            tokio::spawn(carry(client, server, words, at, armed.clone()));
        }
    });
    port
}

async fn carry(mut client: TcpStream, mut server: TcpStream, words: &'static str, at: Break, armed: Arc<AtomicBool>) {
    let (mut said, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut said) => {
                let Ok(count @ 1..) = read else { return };
                let heard = said[..count].windows(words.len()).any(|part| part == words.as_bytes());
                let breaks = heard && armed.swap(false, Ordering::SeqCst);
                if breaks && at == Break::Before || server.write_all(&said[..count]).await.is_err() {
                    return;
                }
                if breaks {
                    let _ = server.read(&mut answered).await;
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(count @ 1..) = read else { return };
                if client.write_all(&answered[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test]
async fn only_a_commit_without_an_answer_leaves_doubt() {
    let mut lab = Lab::people().await;
    let id = id_of(&lab.create("k", json!({"name": "Ann"})).await);
    let url = lab.database.url.clone();
    let (_, port) = url.rsplit_once('/').expect("a database").0.rsplit_once(':').expect("a port");
    for (words, at, in_doubt, title) in [
        ("set_config", Break::Before, false, None),
        ("UPDATE \"public\"", Break::Before, false, None),
        ("UPDATE \"public\"", Break::After, false, None),
        ("COMMIT", Break::Before, true, None),
        ("COMMIT", Break::After, true, Some("CEO")),
    ] {
        let armed = Arc::new(AtomicBool::new(false));
        let own = line(port.parse().expect("a port"), words, at, armed.clone()).await;
        lab.credentials.base_url = Some(url.replacen(port, &own.to_string(), 1));
        // The table is looked up before, so that the words are the write's own.
        assert_eq!(lab.one(&id, &["title"]).await.fields["title"], json!(null));
        armed.store(true, Ordering::SeqCst);
        let outcome = lab.update(&id, None, json!({"title": "CEO"})).await;
        assert!(!armed.load(Ordering::SeqCst), "{words} was said");
        match outcome {
            WriteOutcome::Unknown { .. } => assert!(in_doubt, "{words} {at:?}"),
            WriteOutcome::NotApplied(error) if error.remedy == Remedy::Retry => {
                assert!(!in_doubt, "{words} {at:?}: {error}");
            }
            other => panic!("{words} {at:?}: {other:?}"),
        }
        assert_eq!(lab.one(&id, &["title"]).await.fields["title"], json!(title), "{words} {at:?}");
    }
}
