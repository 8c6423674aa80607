//! A list of contacts in the terminal that is shared with everybody who has it open, and that works offline.
//!
//! ```text
//! cargo run -p syncline-client --example contacts -- http://127.0.0.1:8080 KEY contacts.db
//! ```
//!
//! Commands: `add FIRST LAST EMAIL`, `name N FIRST LAST`, `email N EMAIL`, `delete N`, `pending`, `quit`; N is a
//! contact's number in the list.

use std::{collections::BTreeMap, error::Error};

use serde::{Deserialize, Serialize};
use syncline_client::{Client, Collection, Filter, Item, RecordId, SqliteStore, WatchEvent};
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// The fields that this program knows; the model's others are left alone.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
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
    let store = SqliteStore::open(arguments.next().unwrap_or_else(|| "contacts.db".to_owned())).await?;
    let client = Client::builder(&url).api_key(key).store(store).name("terminal").build().await?;
    let contacts = client.collection::<Contact>("contact");
    let mut live = contacts.watch(Filter::default()).await?;
    let (mut states, mut events) = (client.state(), client.events());
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut shown = BTreeMap::new();
    loop {
        tokio::select! {
            Some(event) = live.next() => show(&mut shown, event?),
            Some(state) = states.next() => println!("-- {state:?}"),
            Some(event) = events.next() => println!("!! {event:?}"),
            line = lines.next_line() => match line?.as_deref().map(str::trim) {
                None | Some("quit") => return Ok(()),
                Some("pending") => println!("{:?}", client.pending()),
                Some(line) => if let Err(error) = obey(&contacts, &shown, line).await {
                    println!("!! {error}");
                },
            },
        }
    }
}

/// Keeps the list, and prints what changed.
fn show(shown: &mut BTreeMap<RecordId, Contact>, event: WatchEvent<Contact>) {
    match event {
        WatchEvent::Snapshot(items) => {
            *shown = items.into_iter().map(|item| (item.id, item.value)).collect();
            println!("{} contacts", shown.len());
            shown.values().enumerate().take(20).for_each(|(number, contact)| print(number, contact));
        }
        WatchEvent::Inserted(Item { id, value, .. }) => {
            shown.insert(id, value);
            println!("+ {}", line(shown, id));
        }
        WatchEvent::Updated { item, changed } => {
            shown.insert(item.id, item.value);
            println!("* {} {changed:?}", line(shown, item.id));
        }
        WatchEvent::Removed(id) => {
            println!("- {}", line(shown, id));
            shown.remove(&id);
        }
    }
}

fn line(shown: &BTreeMap<RecordId, Contact>, id: RecordId) -> String {
    let number = shown.keys().position(|known| *known == id).unwrap_or_default();
    format!("{number}: {:?}", shown.get(&id).cloned().unwrap_or_default())
}

fn print(number: usize, contact: &Contact) {
    println!("  {number}: {contact:?}");
}

async fn obey(
    contacts: &Collection<Contact>,
    shown: &BTreeMap<RecordId, Contact>,
    line: &str,
) -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let id = |number: &str| -> Result<RecordId, Box<dyn Error>> {
        Ok(*shown.keys().nth(number.parse()?).ok_or("there is no contact of that number")?)
    };
    let some = |word: &str| Some(word.to_owned());
    match words[..] {
        ["add", first, last, email] => {
            let contact = Contact { first_name: some(first), last_name: some(last), email: some(email) };
            println!("created {}", contacts.create(&contact).await?);
        }
        ["name", number, first, last] => {
            let (first, last) = (some(first), some(last));
            let rename = move |contact: &mut Contact| (contact.first_name, contact.last_name) = (first, last);
            contacts.edit(id(number)?, rename).await?;
        }
        ["email", number, email] => {
            let email = some(email);
            contacts.edit(id(number)?, move |contact| contact.email = email).await?;
        }
        ["delete", number] => contacts.delete(id(number)?).await?,
        [] => {}
        _ => println!("commands: add FIRST LAST EMAIL, name N FIRST LAST, email N EMAIL, delete N, pending, quit"),
    }
    Ok(())
}
