//! Merging an edit of a text into a text that is not the one its editor saw.

use automerge::{ActorId, Automerge, AutomergeError, ObjType, PatchLog, ROOT, ReadDoc, transaction::Transactable};

/// What `standing` becomes when the edit from `old` to `new` is made as if beside it. Automerge itself merges the two
/// sides, in a document made for the purpose.
pub(super) fn merge(old: &str, new: &str, standing: &str) -> Result<String, AutomergeError> {
    if old == standing {
        return Ok(new.to_owned());
    }
    // Two actors of fixed order: the same three texts always merge to the same fourth.
    let mut doc = Automerge::new().with_actor(ActorId::from([1]));
    let mut tx = doc.transaction();
    let text = tx.put_object(ROOT, "text", ObjType::Text)?;
    tx.splice_text(&text, 0, 0, old)?;
    tx.commit();
    let mut side = doc.fork().with_actor(ActorId::from([2]));
    for (doc, text_there) in [(&mut doc, standing), (&mut side, new)] {
        let mut tx = doc.transaction_log_patches(PatchLog::inactive()).map_err(|_| AutomergeError::Fail)?;
        tx.update_text(&text, text_there)?;
        tx.commit();
    }
    doc.merge(&mut side)?;
    doc.text(&text)
}

#[cfg(test)]
mod tests {
    use super::merge;

    #[test]
    fn both_sides_of_a_text_survive() {
        for (old, new, standing, merged) in [
            ("a", "ab", "a", "ab"),
            ("one two", "one two three", "zero one two", "zero one two three"),
            ("one two", "two", "one two!", "two!"),
            ("", "x", "", "x"),
        ] {
            assert_eq!(merge(old, new, standing).unwrap(), merged, "{old} → {new} on {standing}");
        }
    }
}
