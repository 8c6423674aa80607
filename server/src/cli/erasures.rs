//! Erasures on the command line: the verbs of `syncline records` that remove a person's data and show the proof.

use std::io;

use syncline_client::{Erasure, Page};

use super::{
    output::{Item, Output, Tone},
    records::more,
};

/// One receipt, in full.
pub(crate) fn receipt(output: Output, erasure: &Erasure) -> io::Result<()> {
    table(output, std::slice::from_ref(erasure))?;
    let rows = erasure.rows.iter().map(|(table, number)| vec![Item::text(table), Item::number(number)]);
    output.table(&["table", "rows removed or emptied"], rows.collect(), "nothing is removed yet")?;
    let Some(proof) = &erasure.proof else { return Ok(()) };
    let verdict = match proof.left {
        0 => Tone::Good.paint("nothing is left"),
        left => Tone::Bad.paint(&format!("{left} are still in the files: stop the service, start it, and erase again")),
    };
    output.line(format!(
        "searched {} bytes in {} files for {} texts of the record: {verdict}",
        proof.bytes, proof.files, proof.texts
    ))?;
    if !proof.shared.is_empty() {
        let shared: Vec<String> = proof.shared.iter().map(|(table, number)| format!("{table}: {number}")).collect();
        output.line(format!("texts that rows of others hold as well, by table: {}", shared.join(", ")))?;
    }
    Ok(())
}

/// A list of receipts.
pub(crate) fn page(output: Output, page: &Page<Erasure>) -> io::Result<()> {
    table(output, &page.items)?;
    more(output, page.next_cursor.as_deref())
}

fn table(output: Output, erasures: &[Erasure]) -> io::Result<()> {
    let rows = erasures.iter().map(|erasure| {
        let tone = match erasure.state.as_str() {
            "erased" => Tone::Good,
            "waiting" => Tone::Warn,
            _ => Tone::Dim,
        };
        vec![
            Item::number(erasure.id),
            Item::text(&erasure.state).tone(tone),
            Item::text(&erasure.model),
            Item::text(&erasure.asked_by),
            Item::text(&erasure.asked_at).tone(Tone::Dim),
            Item::maybe(erasure.erased_at.as_ref()).tone(Tone::Dim),
            Item::maybe(erasure.proof.as_ref().map(|proof| proof.left)),
        ]
    });
    let head = ["erasure", "state", "model", "asked by", "asked at", "erased at", "texts left"];
    output.table(&head, rows.collect(), "nothing was erased")
}
