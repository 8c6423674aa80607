//! A replica as the columns `replica` and `baseline`.
//!
//! At rest a system agrees with its record, so that its baseline repeats the record's fields. It is therefore stored as
//! its difference from the fields in the record's row, which halves what a backfill writes. Whatever changes the fields
//! of a record writes all its replicas anew, and a record and its replicas are read by one statement.

use serde::{Deserialize, Serialize};
use syncline_core::{ids::FieldName, replica::Replica, value::Fields};

use super::{
    codec::{decode, encode},
    values::{FieldsIn, FieldsOut},
};
use crate::store::StoreError;

/// A baseline that is not the record's fields.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Outgoing<'a> {
    /// The whole baseline, where it has little in common with the fields.
    Is(FieldsOut<'a>),
    /// The record's fields without some and with others.
    Differs { without: Vec<&'a FieldName>, with: FieldsOut<'a> },
}

/// The same on its way in.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Incoming {
    Is(FieldsIn),
    Differs { without: Vec<FieldName>, with: FieldsIn },
}

/// The columns of a replica of a record with these fields.
pub(super) fn encode_replica(mut replica: Replica, fields: &Fields) -> Result<(String, Option<String>), StoreError> {
    let baseline = std::mem::take(&mut replica.baseline);
    let baseline = if baseline == *fields { None } else { Some(encode(&difference(&baseline, fields))?) };
    Ok((encode(&replica)?, baseline))
}

fn difference<'a>(baseline: &'a Fields, fields: &'a Fields) -> Outgoing<'a> {
    let without: Vec<&FieldName> = fields.keys().filter(|name| !baseline.contains_key(*name)).collect();
    if without.len() >= baseline.len() {
        return Outgoing::Is(FieldsOut::All(baseline));
    }
    let with = baseline.iter().filter(|(name, value)| fields.get(*name) != Some(value)).collect();
    Outgoing::Differs { without, with: FieldsOut::Some(with) }
}

/// The replica in these columns, of a record with these fields.
pub(super) fn decode_replica(replica: &str, baseline: Option<&str>, fields: &Fields) -> Result<Replica, StoreError> {
    let mut replica: Replica = decode("a replica", replica)?;
    replica.baseline = match baseline.map(|text| decode("a replica's baseline", text)).transpose()? {
        None => fields.clone(),
        Some(Incoming::Is(baseline)) => baseline.into(),
        Some(Incoming::Differs { without, with }) => {
            let mut baseline = fields.clone();
            baseline.retain(|name, _| !without.contains(name));
            baseline.extend(Fields::from(with));
            baseline
        }
    };
    Ok(replica)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use syncline_core::{
        outbox::Delivery,
        replica::{Link, Reflected},
        time::Tick,
        value::Value,
    };

    use super::*;

    fn fields(values: &[(&str, Option<&str>)]) -> Fields {
        values.iter().map(|(name, value)| ((*name).into(), value.map_or(Value::Null, Value::text))).collect()
    }

    fn replica(baseline: Fields) -> Replica {
        Replica {
            object: "Contact".into(),
            link: Link::Linked { id: "003".into() },
            baseline,
            reflected: Reflected::default(),
            version: None,
            looked: Tick(1),
            settled: Tick(2),
            stored: BTreeMap::new(),
            intent: None,
            held: Vec::new(),
            written: BTreeMap::new(),
            parked: BTreeMap::new(),
            writes: BTreeMap::new(),
            delivery: Delivery::Clean,
        }
    }

    #[test]
    fn a_baseline_survives_as_its_difference_from_the_fields() {
        let record = fields(&[("a", Some("1")), ("b", Some("2")), ("c", None)]);
        for (baseline, column) in [
            (record.clone(), None),
            (fields(&[]), Some(r#"{"is":{}}"#)),
            (fields(&[("a", Some("1"))]), Some(r#"{"is":{"a":"1"}}"#)),
            (fields(&[("a", Some("1")), ("b", None)]), Some(r#"{"differs":{"without":["c"],"with":{"b":null}}}"#)),
            (
                fields(&[("a", Some("1")), ("b", Some("2")), ("c", None), ("d", None)]),
                Some(r#"{"differs":{"without":[],"with":{"d":null}}}"#),
            ),
        ] {
            let wanted = replica(baseline);
            let (text, difference) = encode_replica(wanted.clone(), &record).unwrap();
            assert_eq!(difference.as_deref(), column);
            assert_eq!(decode_replica(&text, difference.as_deref(), &record).unwrap(), wanted);
        }
        let nothing = fields(&[]);
        let wanted = replica(fields(&[("a", Some("1"))]));
        let (text, difference) = encode_replica(wanted.clone(), &nothing).unwrap();
        assert_eq!(decode_replica(&text, difference.as_deref(), &nothing).unwrap(), wanted);
    }
}
