//! A day without a network: edits are made offline, the program ends and starts again, and in the evening everything
//! arrives.
//!
//! ```text
//! cargo run -p syncline-client --example offline_day -- http://127.0.0.1:8080 KEY
//! ```

use std::{error::Error, path::Path};

use serde::{Deserialize, Serialize};
use syncline_client::{Client, ClientError, RecordId, SqliteStore};

#[derive(Debug, Serialize, Deserialize)]
struct Contact {
    first_name: Option<String>,
    last_name: Option<String>,
    email: Option<String>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
    let key = arguments.next().ok_or("say the server's address and an API key")?;
    let folder = std::env::temp_dir().join(format!("offline-day-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("contacts.db");

    let id = morning(&path).await?;
    noon(&path, id).await?;
    evening(&path, &url, &key, id).await?;
    Ok(std::fs::remove_dir_all(folder)?)
}

/// There is no network: nothing answers at this address. What is created is durable all the same.
async fn morning(path: &Path) -> Result<RecordId, ClientError> {
    let client = open(path, "http://127.0.0.1:9", "no-key-yet").await?;
    let contacts = client.collection::<Contact>("contact");
    let ann = Contact { first_name: Some("Ann".into()), last_name: Some("Lee".into()), email: None };
    let id = contacts.create(&ann).await?;
    println!("morning: created {id}; {:?}", client.pending());
    client.close().await;
    Ok(id)
}

/// Another run of the program, still without a network.
async fn noon(path: &Path, id: RecordId) -> Result<(), ClientError> {
    let client = open(path, "http://127.0.0.1:9", "no-key-yet").await?;
    let contacts = client.collection::<Contact>("contact");
    println!("noon: {:?} is still here", contacts.get(id).await?.map(|item| item.value));
    let email = format!("ann.lee.{}@example.com", &id.to_string()[..8]);
    contacts.edit(id, |contact| contact.email = Some(email)).await?;
    println!("noon: {:?}", client.pending());
    client.close().await;
    Ok(())
}

/// The network is back.
async fn evening(path: &Path, url: &str, key: &str, id: RecordId) -> Result<(), ClientError> {
    let client = open(path, url, key).await?;
    println!("evening: {:?}", client.pending());
    println!("evening: settled, {:?}", client.settled().await?);
    let record = client.api().await?.record("contact", id).await?;
    println!("evening: the server has {:?}", record.fields);
    client.close().await;
    Ok(())
}

async fn open(path: &Path, url: &str, key: &str) -> Result<Client, ClientError> {
    let store = SqliteStore::open(path).await?;
    Client::builder(url).api_key(key).store(store).name("offline-day").build().await
}
