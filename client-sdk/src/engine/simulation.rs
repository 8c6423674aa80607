//! Whole histories of three clients and a server, generated from a seed and held to laws: whoever edits reads the edit
//! at once; nothing that was committed is lost, acknowledged or not; in the end everybody has the same.

use std::collections::BTreeMap;

use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value as Json, json};
use syncline_core::{ids::RecordId, live::Cursor, repo::DocumentId};

use super::{
    Input,
    simulated_client::{Client, Death, subset},
    simulated_server::{Late, Server},
};
use crate::fields::{FieldEdit, FieldValue, FieldValues};

const CLIENTS: usize = 3;
const STEPS: usize = 120;
/// How many histories each test runs.
const SEEDS: u64 = 100;
/// After so many rounds in which everybody is connected, everything must have come to rest.
const ROUNDS_MAX: usize = 400;

/// What the records must hold in the end, whatever the order of things was.
#[derive(Default)]
struct Expected {
    members: BTreeMap<RecordId, Vec<String>>,
    visits: BTreeMap<RecordId, i64>,
    tokens: BTreeMap<RecordId, Vec<String>>,
    names: BTreeMap<RecordId, Vec<String>>,
}

struct World {
    server: Server,
    clients: Vec<Client>,
    expected: Expected,
    rng: ChaCha8Rng,
    drawn: usize,
    with_seals: bool,
}

pub(super) fn fresh_fields(name: &str) -> FieldValues {
    [
        ("name".to_owned(), FieldValue::Str(name.to_owned())),
        ("tags".to_owned(), FieldValue::Set(["first".to_owned()].into())),
        ("visits".to_owned(), FieldValue::Counter(0)),
        ("notes".to_owned(), FieldValue::Text("notes: ".into())),
    ]
    .into()
}

impl World {
    fn new(seed: u64, late: Late, with_seals: bool) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut child = || ChaCha8Rng::seed_from_u64(rng.next_u64());
        let server = Server::new(child(), late);
        let clients = (0..CLIENTS).map(|number| Client::new(number, child())).collect();
        let mut world = Self { server, clients, expected: Expected::default(), rng, drawn: 0, with_seals };
        for _ in 0..3 {
            let name = world.token();
            let record = world.server.seed(&fresh_fields(&name));
            world.expect_new(record, name);
        }
        world
    }

    fn expect_new(&mut self, record: RecordId, name: String) {
        self.expected.names.entry(record).or_default().push(name);
        self.expected.visits.insert(record, 0);
    }

    fn token(&mut self) -> String {
        self.drawn += 1;
        format!("<{}>", self.drawn)
    }

    fn step(&mut self) {
        let client = self.rng.random_range(0..CLIENTS);
        match self.rng.random_range(0..100) {
            0..30 => self.edit(client),
            30..34 => self.create(client),
            34..38 => self.edit_at_server(),
            38..40 if self.with_seals => self.seal(),
            40..45 => self.toggle(client),
            45..47 => self.clients[client].restart_and_disconnect(&mut self.server, client),
            47..49 => self.list(client),
            49..60 => self.feed(client),
            60..80 => self.send(client),
            _ => self.receive(client),
        }
        self.end_connections();
    }

    /// Ends connections of which an engine says that they are of no more use.
    fn end_connections(&mut self) {
        for client in 0..CLIENTS {
            if std::mem::take(&mut self.clients[client].is_done) && self.clients[client].is_connected {
                self.toggle(client);
            }
        }
    }

    fn some_row(&mut self, client: usize) -> Option<crate::store::Row> {
        let rows: Vec<_> = self.clients[client].rows().into_iter().filter(|row| row.held).collect();
        (!rows.is_empty()).then(|| rows[self.rng.random_range(0..rows.len())].clone())
    }

    fn edit(&mut self, client: usize) {
        let Some(row) = self.some_row(client) else { return };
        let token = self.token();
        let kind = self.rng.random_range(0..4);
        let edit = an_edit(kind, &row.fields, &token);
        let death = match self.rng.random_range(0..40) {
            0 => Some(Death::BeforeCommit),
            1 => Some(Death::AfterCommit),
            _ => None,
        };
        let input = Input::Edit { record: row.record, edits: vec![edit.clone()], deleted: None };
        let is_committed = self.clients[client].run(input, death).unwrap();
        if death.is_some() {
            self.server.disconnect(client);
        }
        if is_committed {
            let shown = self.clients[client].row(row.record).map(|row| row.fields[&edit.name].clone());
            assert_eq!(shown, Some(edit.new.to_json()), "a client reads what it wrote");
            self.expect(row.record, kind, &token);
        }
    }

    fn expect(&mut self, record: RecordId, kind: u32, token: &str) {
        match kind {
            0 => self.expected.names.entry(record).or_default().push(token.to_owned()),
            1 => self.expected.members.entry(record).or_default().push(token.to_owned()),
            2 => *self.expected.visits.entry(record).or_default() += 1,
            _ => self.expected.tokens.entry(record).or_default().push(token.to_owned()),
        }
    }

    fn create(&mut self, client: usize) {
        let record = DocumentId::from_bytes(self.rng.random()).record();
        let name = self.token();
        let input = Input::Create { model: "contact".into(), record, fields: fresh_fields(&name) };
        self.clients[client].run(input, None).unwrap();
        self.expect_new(record, name);
    }

    fn edit_at_server(&mut self) {
        let records = self.server.records();
        let record = records[self.rng.random_range(0..records.len())];
        let token = self.token();
        let kind = self.rng.random_range(0..4);
        let fields = self.server.fields(record).unwrap();
        self.server.edit(record, &an_edit(kind, &fields, &token));
        self.expect(record, kind, &token);
    }

    fn seal(&mut self) {
        let records = self.server.records();
        let record = records[self.rng.random_range(0..records.len())];
        self.server.seal(record);
    }

    fn toggle(&mut self, client: usize) {
        if self.clients[client].is_connected {
            self.server.disconnect(client);
            self.clients[client].is_connected = false;
            self.clients[client].up.clear();
            self.clients[client].run(Input::Lost, None).unwrap();
        } else {
            self.connect(client);
        }
    }

    fn connect(&mut self, client: usize) {
        let peer = self.clients[client].peer();
        self.server.connect(client, peer);
        self.clients[client].is_connected = true;
        self.clients[client].run(Input::Connected, None).unwrap();
    }

    /// A listing, after which the feed goes on from where it stood before.
    fn list(&mut self, client: usize) {
        let (cursor, rows) = (self.server.feed.len(), self.server.list());
        let listing = cursor as u64 + 1 + self.clients[client].engine.subsets()[0].listing;
        let client = &mut self.clients[client];
        client.run(Input::Listed { subset: subset(), listing, rows }, None).unwrap();
        client.run(Input::ListEnd { subset: subset(), listing, cursor: Cursor(cursor as u64) }, None).unwrap();
        client.heard = cursor;
    }

    fn feed(&mut self, client: usize) {
        let client = &mut self.clients[client];
        if client.cursor().is_none() {
            return;
        }
        let Some(told) = self.server.feed.get(client.heard).cloned() else { return };
        client.heard += 1;
        let cursor = Cursor(client.heard as u64);
        client.run(Input::Change { subset: subset(), cursor, told: Some(told) }, None).unwrap();
    }

    fn send(&mut self, client: usize) {
        if let Some(message) = self.clients[client].up.pop_front() {
            self.server.hear(client, message);
        }
    }

    fn receive(&mut self, client: usize) {
        if let Some(message) = self.server.pop(client) {
            self.clients[client].run(Input::Frame(message), None).unwrap();
        }
    }

    /// Connects everybody and lets everything come to rest.
    fn settle(&mut self) {
        for client in 0..CLIENTS {
            if self.clients[client].cursor().is_none() {
                self.list(client);
            }
        }
        for _ in 0..ROUNDS_MAX {
            self.end_connections();
            for client in 0..CLIENTS {
                if !self.clients[client].is_connected {
                    self.connect(client);
                }
                while !self.clients[client].up.is_empty() {
                    self.send(client);
                }
                while self.clients[client].heard < self.server.feed.len() {
                    self.feed(client);
                }
                self.receive(client);
            }
            let feed = self.server.feed.len();
            let rests = |client: &Client| {
                !client.is_done && client.up.is_empty() && client.heard == feed && client.pending() == 0
            };
            if self.server.is_quiet() && self.clients.iter().all(rests) {
                return;
            }
        }
        let pending: Vec<u64> = self.clients.iter().map(Client::pending).collect();
        let open: Vec<_> = self.clients.iter().flat_map(Client::rows).filter(|row| row.pending > 0).collect();
        panic!("nothing came to rest: pending {pending:?}: {open:#?}");
    }

    fn check(&self) {
        for record in self.expected.visits.keys() {
            let shown = self.server.fields(*record).unwrap_or_else(|| panic!("{record} is lost"));
            let texts = |name: &str| shown[name].as_str().unwrap().to_owned();
            let names = &self.expected.names[record];
            assert!(names.contains(&texts("name")), "{record}: {} was never written", texts("name"));
            assert_eq!(shown["visits"], json!(self.expected.visits[record]), "{record}: a step of the counter is lost");
            for member in self.expected.members.get(record).into_iter().flatten() {
                assert!(shown["tags"].as_array().unwrap().contains(&json!(member)), "{record}: {member} is lost");
            }
            for token in self.expected.tokens.get(record).into_iter().flatten() {
                assert!(texts("notes").contains(token), "{record}: {token} is lost from {}", texts("notes"));
            }
            for client in &self.clients {
                let row = client.row(*record).unwrap_or_else(|| panic!("{record} is lost at a client"));
                assert!(row.held && row.refused.is_none() && row.moving_to.is_none(), "{row:?}");
                assert_eq!(Json::from(row.fields), Json::from(shown.clone()), "{record}: a client has another state");
            }
        }
        assert_eq!(self.expected.visits.len(), self.server.records().len());
    }
}

impl Client {
    fn restart_and_disconnect(&mut self, server: &mut Server, number: usize) {
        server.disconnect(number);
        self.restart();
    }
}

/// An edit that leaves a trace by which it is found in the end.
fn an_edit(kind: u32, fields: &syncline_core::live::JsonFields, token: &str) -> FieldEdit {
    let edit = |name: &str, old: FieldValue, new: FieldValue| FieldEdit { name: name.to_owned(), old, new };
    let text = |name: &str| fields[name].as_str().unwrap().to_owned();
    match kind {
        0 => edit("name", FieldValue::Str(text("name")), FieldValue::Str(token.to_owned())),
        1 => {
            let old: std::collections::BTreeSet<String> =
                fields["tags"].as_array().unwrap().iter().map(|member| member.as_str().unwrap().to_owned()).collect();
            let mut new = old.clone();
            new.insert(token.to_owned());
            edit("tags", FieldValue::Set(old), FieldValue::Set(new))
        }
        2 => {
            let old = fields["visits"].as_i64().unwrap();
            edit("visits", FieldValue::Counter(old), FieldValue::Counter(old + 1))
        }
        _ => edit("notes", FieldValue::Text(text("notes")), FieldValue::Text(text("notes") + token)),
    }
}

fn run(seed: u64, late: Late, with_seals: bool) {
    let mut world = World::new(seed, late, with_seals);
    for _ in 0..STEPS {
        world.step();
    }
    world.settle();
    world.check();
}

/// Runs the histories of many seeds, and names the seed of one that breaks a law. `SYNCLINE_SEED` runs one alone.
fn run_all(late: Late, with_seals: bool) {
    let only = std::env::var("SYNCLINE_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    for seed in only.map_or(0..SEEDS, |seed| seed..seed + 1) {
        let result = std::panic::catch_unwind(|| run(seed, late, with_seals));
        if let Err(panic) = result {
            eprintln!("the history of seed {seed} ({late:?}) broke a law: run it alone with SYNCLINE_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn clients_that_part_and_meet_converge_and_lose_nothing() {
    run_all(Late::Mirrors, false);
}

#[test]
fn documents_that_are_sealed_meanwhile_lose_nothing_where_the_server_mirrors_late_edits() {
    run_all(Late::Mirrors, true);
}

#[test]
fn documents_that_are_sealed_meanwhile_lose_nothing_where_the_server_refuses_late_edits() {
    run_all(Late::Refuses, true);
}
