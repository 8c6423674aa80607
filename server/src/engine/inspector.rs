//! The inspector of one side: compares the mapped fields with what the provider's object has now. A field that is gone or has
//! another type is left out of every read and write until it is as it was, and what is owed of it waits.

use syncline_core::{
    budget::{Call, CallKind},
    reconcile::Input,
    remote::Remedy,
};

use super::{
    clock::Clock,
    intake::{Arrival, Batch},
    reader,
    schema::{SCHEMA, SchemaState},
    side::{RunningSide, StepError},
    sweeper,
};
use crate::store::{
    issues::{MarkedQuery, Marks},
    quarantine::QuarantineCause,
};

/// How many records are told of a change at once.
const RECORDS_PER_COMMIT: u32 = 200;

/// What an inspection found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Fields that were lost: what happened to them meanwhile shows in the sweep that is due now.
    Fields,
    /// Nothing that is to be read again.
    Nothing,
}

/// Looks at the provider's schema and acts on what has changed.
pub(super) async fn inspect(side: &RunningSide) -> Result<Found, StepError> {
    let Some(part) = side.part() else { return Ok(Found::Nothing) };
    let known = reader::read::<SchemaState>(side, SCHEMA).await?.unwrap_or_default();
    let reader = side.session.connector.reader();
    let described =
        side.session
            .call(Call::live(CallKind::Other), |credentials| async move {
                reader.describe(&credentials, &part.object).await
            })
            .await;
    let schema = match described {
        Ok(schema) => schema,
        Err(error) if error.remedy == Remedy::Reauthorise => return Err(error.into()),
        Err(_) => {
            // Reading goes on by what is known: an account may let us read objects and not their schema.
            tracing::debug!(connection = %side.connection, "the provider's schema could not be read");
            side.set_schema(known);
            return Ok(Found::Nothing);
        }
    };
    let mut current = known.clone();
    current.compare(&side.mapped_fields(), &schema, Clock::wall());
    let changed = current.lost != known.lost;
    let first = side.schema().lost != current.lost;
    let found = known.lost.keys().any(|field| !current.lost.contains_key(field));
    if current != known {
        let mut checkpoints = vec![reader::checkpoint(side, SCHEMA, &current, 0)?];
        // Rows were read without the field, and an account may clear or convert a field without a trace in its rows' stamps:
        // everything is read once more, while changes are followed and writes go on.
        checkpoints.extend(found.then(|| sweeper::due_now(side)).transpose()?);
        side.take(Batch { checkpoints, ..Batch::default() }).await?;
    }
    for (field, lost) in &current.lost {
        if !known.lost.contains_key(field) {
            tracing::warn!(
                event = "remote_field_lost", sync = %side.sync.name, connection = %side.connection, %field, %lost,
                "a mapped field cannot be used: it is left out until it is as it was"
            );
        }
    }
    side.set_schema(current);
    if changed || first {
        tell_records(side).await?;
        look_again(side).await?;
    }
    Ok(if found { Found::Fields } else { Found::Nothing })
}

/// What waits for a field that is back is owed again; what was refused because its field is gone waits for the field.
async fn tell_records(side: &RunningSide) -> Result<(), StepError> {
    let Some(part) = side.part() else { return Ok(()) };
    let fields = side.schema().lacking(part);
    let mut query = MarkedQuery {
        connection: side.connection.clone(),
        marks: Marks::MISSING.and(Marks::REFUSED),
        after: None,
        limit: RECORDS_PER_COMMIT,
    };
    loop {
        let page = side.tenant().marked_replicas(&query).await?;
        let Some(last) = page.last() else { return Ok(()) };
        query.after = Some(last.place);
        let ours = page.iter().filter(|replica| replica.model == side.sync.plan.model.name);
        let arrivals = ours.map(|replica| {
            let input = Input::Lacks { connection: side.connection.clone(), fields: fields.clone() };
            Arrival::Known { record: replica.record, input: Box::new(input) }
        });
        side.take(Batch::of(arrivals.collect())).await?;
    }
}

/// Objects that could not be taken in because of a field may be taken in without it.
async fn look_again(side: &RunningSide) -> Result<(), StepError> {
    let mut after = None;
    loop {
        let rows = side
            .tenant()
            .quarantined_for(&side.connection, QuarantineCause::Invalid, after, RECORDS_PER_COMMIT)
            .await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = Some(last.id);
        let ours = rows.into_iter().filter(|row| row.row.sync == side.sync.name);
        ours.filter_map(|row| row.row.external_id).for_each(|id| side.ask_for(id, None));
    }
}
