//! A record that is edited for ever: how long its document gets, and how long it takes to load.

use std::time::Instant;

use syncline_core::{
    ids::RecordId,
    reconcile::{ClientEdit, Input},
    value::{Fields, Value},
};
use syncline_server::engine::intake::Arrival;

use crate::{
    Result,
    ground::{Ground, fields},
    intake, report,
};

/// Edits of the one record, and of one transaction: no divisor of the length at which it begins anew, so that it is seen in
/// every length.
const EDITS: usize = 100_000;
const AT_ONCE: usize = 160;
/// The longest that the saved document may be, and take to load.
const BYTES_MAX: f64 = 64.0;
const LOAD_MS_MAX: f64 = 5.0;
/// Whose edits they are.
const PRINCIPAL: &str = "bench";

/// The longest document of all, and how long loads take.
pub(crate) async fn measure() -> Result<()> {
    let ground = Ground::new().await?;
    let arrivals = intake::first_side(&ground, 0).await?;
    let first = arrivals.first().and_then(fields).cloned().ok_or("no contact")?;
    // Without accounts nothing is owed to any, so the record may begin anew as soon as it is long enough.
    let ground = ground.without_sides();
    let record = RecordId::created(&ground.plan.tenant, &ground.plan.model.name, "edited for ever");
    ground.take(vec![Arrival::Created { record, principal: PRINCIPAL.into(), fields: first }]).await?;
    let (mut longest, mut loads, mut edit_us) = (0, Vec::new(), 0.0);
    for batch in 0..EDITS / AT_ONCE {
        let edits = (0..AT_ONCE).map(|edit| title(record, batch * AT_ONCE + edit)).collect();
        let started = Instant::now();
        ground.take(edits).await?;
        edit_us += report::micros(started.elapsed());
        let started = Instant::now();
        let mut state = ground.load(record).await?;
        // Decodes the document.
        state.document.fields(&ground.plan.model)?;
        loads.push(started.elapsed().as_secs_f64() * 1e3);
        longest = longest.max(state.document.save().len());
    }
    let epochs = ground.counts().epochs;
    if epochs == 0 {
        return Err("the record never began anew".into());
    }
    report::measure("history/epochs", epochs as f64, "epochs", None);
    report::measure("history/bytes", longest as f64 / 1_024.0, "KiB, the longest saved document", Some(BYTES_MAX));
    report::measure("history/load", report::quantile(&mut loads, 0.5), "ms, median load", Some(LOAD_MS_MAX));
    report::measure("history/late load", report::quantile(&mut loads, 0.99), "ms, p99 of loads", None);
    report::measure("history/edit", edit_us / EDITS as f64, "µs per edit, in batches", None);
    ground.close().await
}

fn title(record: RecordId, number: usize) -> Arrival {
    let fields = Fields::from([("title".into(), Value::text(format!("Director {number}")))]);
    let edit = ClientEdit { principal: PRINCIPAL.into(), fields, delete: None, settles: false };
    Arrival::Known { record, input: Box::new(Input::Edited(edit)) }
}
