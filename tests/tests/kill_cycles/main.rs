//! Kill cycles: the real binary is ended at every line at which it could leave something half done, and by SIGKILL at any
//! other, while users of both accounts, a product over the API and a program on the SDK edit the same contacts. It is started
//! again on the same store, and at the end everything is judged.
//!
//! # Layout
//!
//! * [`world`]: the accounts, the cast, and one life of the process after the other. [`gone`]: its end. [`provocation`]: what
//!   makes the process reach a fail point. [`traffic`]: what everybody does meanwhile. [`book`]: what the product was told.
//! * [`program`]: the program on the SDK. [`audience`]: the subscriber of the live feed.
//! * [`judgement`]: growing quiet, and the judges. [`tally`]: how often which point was died at.

mod audience;
mod book;
mod gone;
mod judgement;
mod program;
mod provocation;
mod tally;
mod traffic;
mod world;

use syncline_server::failpoint::Point;

use self::{tally::Tally, world::World};

/// Kills without the environment's asking for more.
const KILLS: u32 = 300;
/// What everything that is drawn follows from, as far as real processes allow.
const SEED: u64 = 27;
/// SIGKILLs at any time, in each world.
const KNIVES: u32 = 12;

/// `SYNCLINE_KILLS` asks for more kills and `SYNCLINE_KILLS_SEED` for others.
///
/// Fails without any of the following: `Session::end_abandoned` or `BEGIN IMMEDIATE` (half a batch is durable), the
/// checkpoint inside the page's transaction, intents that are stored before they are sent, the question about open intents
/// after a restart, the commit before the feed.
#[tokio::test(flavor = "multi_thread")]
async fn row_27_kill_9_at_every_commit_point_loses_nothing() {
    let (kills, seed) = (number("SYNCLINE_KILLS", KILLS.into()), number("SYNCLINE_KILLS_SEED", SEED));
    let mut tally = Tally::default();
    let mut worlds = 0;
    while tally.kills() < kills || !tally.missing().is_empty() {
        let world_seed = seed + worlds;
        println!("world {worlds}: seed {world_seed}, {} kills so far", tally.kills());
        World::begin(world_seed).await.live_and_die(&mut tally, KNIVES).await;
        worlds += 1;
    }
    println!("{tally}");
    assert_eq!(tally.missing(), Vec::<Point>::new(), "fail points that nothing was killed at");
}

fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable)
        .map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is `{text}`: give a whole number")))
}
