//! A real PostgreSQL for tests: one server for each test process, in a folder of its own, on a free port of this machine only, and
//! a database in it for each test. It ends with the process, however that ends.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use sqlx::{
    Executor as _,
    postgres::{PgPool, PgPoolOptions},
};

/// The password of the server's one user.
pub const PASSWORD: &str = "never-in-a-log";

/// Where systems put the server's programs, beside the places that are searched anyway.
const PLACES: &str = "/usr/lib/postgresql";

/// Makes a cluster, starts its server, says so, and takes both away once nobody holds the other end of the input. As root the server
/// refuses to run, so another user does it then.
const SCRIPT: &str = r#"
set -eu
folder=$(mktemp -d)
as=
if [ "$(id -u)" = 0 ]; then
    user=nobody
    if id postgres >/dev/null 2>&1; then user=postgres; fi
    as="setpriv --reuid=$user --regid=$(id -g $user) --clear-groups"
    chown "$user" "$folder"
fi
cd "$folder"
printf %s "$PASSWORD" > password
chmod 644 password
$as "$BIN/initdb" -D "$folder/data" -U syncline -A scram-sha-256 --pwfile=password -E UTF8 --locale=C --no-sync >log 2>&1 || {
    cat log; rm -rf "$folder"; exit 1
}
if ! $as "$BIN/pg_ctl" -D "$folder/data" -w -t 60 -l "$folder/data/server.log" -o "$OPTIONS" start >>log 2>&1; then
    cat log "$folder/data/server.log"; rm -rf "$folder"; exit 1
fi
echo ready
cat >/dev/null || true
$as "$BIN/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1 || true
cd /
rm -rf "$folder"
"#;

/// What the server is started with: nothing has to last, and every way to follow changes is open.
const OPTIONS: &str = "-c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c full_page_writes=off \
                       -c max_connections=300 -c wal_level=logical -c max_replication_slots=100 \
                       -c max_wal_senders=10 -c track_commit_timestamp=on -c autovacuum=off -c jit=off";

/// How often a port is tried that somebody else takes meanwhile.
const TRIES: u32 = 5;

#[derive(Debug)]
struct Server {
    port: u16,
    /// Holds the input open: the server ends when it closes.
    _keeper: Child,
}

static SERVER: OnceLock<Server> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// A database of its own.
#[derive(Debug)]
pub struct TestDatabase {
    /// Its address, without the password.
    pub url: String,
    /// Connections to it as its owner.
    pub pool: PgPool,
}

impl TestDatabase {
    /// Makes an empty database, on the server that this process shares.
    pub async fn create() -> Self {
        let server = SERVER.get_or_init(Server::start);
        let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let main = connect(&server.url("postgres"), 1).await;
        main.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.expect("a database");
        main.close().await;
        let url = server.url(&name);
        Self { pool: connect(&url, 20).await, url }
    }

    /// Runs statements.
    pub async fn run(&self, statements: &str) {
        self.pool.execute(sqlx::AssertSqlSafe(statements)).await.expect("the statements run");
    }
}

async fn connect(url: &str, connections: u32) -> PgPool {
    let url = url.replacen("syncline@", &format!("syncline:{PASSWORD}@"), 1);
    PgPoolOptions::new().max_connections(connections).connect(&url).await.expect("a connection")
}

impl Server {
    fn start() -> Self {
        let folder = programs();
        for _ in 0..TRIES {
            let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let port = taken.local_addr().expect("an address").port();
            drop(taken);
            let mut keeper = Command::new("sh")
                .args(["-c", SCRIPT])
                .env("BIN", &folder)
                .env("PASSWORD", PASSWORD)
                .env("OPTIONS", format!("{OPTIONS} -c port={port}"))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("a shell runs");
            let mut said = String::new();
            let mut output = BufReader::new(keeper.stdout.take().expect("it was asked for"));
            output.read_line(&mut said).expect("the shell speaks");
            if said.trim() == "ready" {
                return Self { port, _keeper: keeper };
            }
            output.read_to_string(&mut said).expect("the shell speaks");
            let _ = keeper.wait();
            assert!(said.contains("could not bind") || said.contains("in use"), "PostgreSQL does not start: {said}");
        }
        panic!("PostgreSQL found no free port");
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://syncline@127.0.0.1:{}/{database}", self.port)
    }
}

/// Where `initdb` and `pg_ctl` are: the newest that the system has.
fn programs() -> PathBuf {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(PLACES)
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).collect())
        .unwrap_or_default();
    folders.sort_by_key(|folder| version(folder));
    folders.reverse();
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let found = folders.into_iter().find(|folder| folder.join("initdb").is_file() && folder.join("pg_ctl").is_file());
    found.expect("PostgreSQL 13 or newer must be installed: on Debian and Ubuntu, `apt-get install postgresql`")
}

fn version(folder: &std::path::Path) -> u32 {
    let name = folder.parent().and_then(|parent| parent.file_name()).and_then(|name| name.to_str());
    name.and_then(|name| name.parse().ok()).unwrap_or(0)
}
