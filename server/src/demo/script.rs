//! The script: what the three writers do, scene by scene. Drawn from the seed; it calls nobody.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value as Json, json};

use super::scenario::{
    ACCOUNTS,
    fields::{INTERESTS, TIERS},
};

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A user of the account in this place.
    User(usize),
    /// The product, over the API.
    Product,
}

/// What is done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Deed {
    /// Fields are set, in the product's form.
    Set(Vec<(&'static str, Json)>),
    /// A member is added to or taken from a field that holds several.
    Toggle(&'static str, &'static str),
    /// A new contact with these fields.
    Create(Vec<(&'static str, Json)>),
    /// The contact is deleted.
    Delete,
}

/// One act.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Act {
    /// Who acts.
    pub(super) role: Role,
    /// Which contact of the cast; a create has none.
    pub(super) subject: usize,
    /// What is done.
    pub(super) deed: Deed,
}

/// Acts that happen at once.
pub(super) type Scene = Vec<Act>;

/// The kinds of scenes. The first ones come oftener.
const SCENES: &[fn(&mut Script) -> Scene] = &[
    Script::different_fields,
    Script::same_field,
    Script::different_fields,
    Script::same_field,
    Script::members,
    Script::typed_carelessly,
    Script::tier,
    Script::clear_against_value,
    Script::create,
    Script::delete,
    Script::delete_against_edit,
];

/// Fields that take any text, so that every value can be told from every other.
const FREE: &[&str] = &["title", "department", "street", "city", "state", "country", "notes", "first_name"];

/// An endless script.
#[derive(Debug)]
pub(super) struct Script {
    rng: StdRng,
    cast: usize,
    /// Deleted contacts leave the play.
    gone: Vec<bool>,
    next_scene: usize,
    next_word: u64,
}

impl Script {
    /// A script for a cast of this size.
    pub(super) fn new(seed: u64, cast: usize) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), cast, gone: vec![false; cast], next_scene: 0, next_word: 0 }
    }

    /// The next scene.
    pub(super) fn scene(&mut self) -> Scene {
        let scene = SCENES[self.next_scene % SCENES.len()];
        self.next_scene += 1;
        scene(self)
    }

    fn different_fields(&mut self) -> Scene {
        let subject = self.subject();
        let fields: Vec<&'static str> = FREE.sample(&mut self.rng, 3).copied().collect();
        let acts = self.everybody().into_iter().zip(fields);
        acts.map(|(role, field)| Act { role, subject, deed: Deed::Set(vec![(field, self.word())]) }).collect()
    }

    fn same_field(&mut self) -> Scene {
        let subject = self.subject();
        let field = self.one_of(FREE);
        let roles = self.everybody().into_iter();
        roles.map(|role| Act { role, subject, deed: Deed::Set(vec![(field, self.word())]) }).collect()
    }

    fn members(&mut self) -> Scene {
        let subject = self.subject();
        let members: Vec<&'static str> = INTERESTS.sample(&mut self.rng, 3).copied().collect();
        let acts = self.everybody().into_iter().zip(members);
        acts.map(|(role, member)| Act { role, subject, deed: Deed::Toggle("interests", member) }).collect()
    }

    /// Values as people type them: capitals in an address, punctuation in a number, spaces at the edges.
    fn typed_carelessly(&mut self) -> Scene {
        let subject = self.subject();
        let number = self.rng.random_range(2_000_000..9_999_999);
        let (near, far) = (format!("(555) {:03}-{:04}", number / 10_000, number % 10_000), number + 1);
        let address = format!("New.Address{}@Example.ORG", self.fresh());
        let city = format!("  Port {}  ", self.fresh());
        vec![
            Act { role: Role::User(0), subject, deed: Deed::Set(vec![("email", json!(address))]) },
            Act { role: Role::User(1), subject, deed: Deed::Set(vec![("phone", json!(near))]) },
            Act {
                role: Role::Product,
                subject,
                deed: Deed::Set(vec![("city", json!(city)), ("mobile", json!(format!("+1 555 {far}")))]),
            },
        ]
    }

    /// Two move a contact along the funnel that only goes forward; one of them may try to go back.
    fn tier(&mut self) -> Scene {
        let subject = self.subject();
        let mut act = |role| {
            let tier = TIERS.choose(&mut self.rng).map_or("gold", |(tier, _)| *tier);
            Act { role, subject, deed: Deed::Set(vec![("tier", json!(tier))]) }
        };
        vec![act(Role::User(0)), act(Role::User(1))]
    }

    fn clear_against_value(&mut self) -> Scene {
        let subject = self.subject();
        let [one, other, _] = self.everybody();
        let score = format!("{}.{:02}", self.rng.random_range(100..90_000), self.rng.random_range(0..100));
        vec![
            Act { role: one, subject, deed: Deed::Set(vec![("website", Json::Null), ("score", json!(score))]) },
            Act { role: other, subject, deed: Deed::Set(vec![("website", self.word())]) },
        ]
    }

    fn create(&mut self) -> Scene {
        self.everybody().into_iter().map(|role| self.newcomer(role)).collect()
    }

    fn delete(&mut self) -> Scene {
        let subject = self.leaver();
        let [role, ..] = self.everybody();
        vec![Act { role, subject, deed: Deed::Delete }]
    }

    fn delete_against_edit(&mut self) -> Scene {
        let subject = self.leaver();
        let field = self.one_of(FREE);
        let [one, other, _] = self.everybody();
        vec![
            Act { role: one, subject, deed: Deed::Delete },
            Act { role: other, subject, deed: Deed::Set(vec![(field, self.word())]) },
        ]
    }

    fn newcomer(&mut self, role: Role) -> Act {
        let fresh = self.fresh();
        let fields = vec![
            ("email", json!(format!("newcomer{fresh}@example.net"))),
            ("first_name", json!("New")),
            ("last_name", json!(format!("Comer {fresh}"))),
            ("title", self.word()),
            ("do_not_call", json!(true)),
            ("interests", json!(["billing", "mobile"])),
            ("birthdate", json!(format!("19{}-02-{:02}", 50 + fresh % 40, 1 + fresh % 28))),
            ("source", json!("partner")),
        ];
        Act { role, subject: 0, deed: Deed::Create(fields) }
    }

    /// A contact that is still in the play.
    fn subject(&mut self) -> usize {
        let drawn = self.rng.random_range(0..self.cast.max(1));
        (drawn..self.cast).chain(0..drawn).find(|place| !self.gone[*place]).unwrap_or(drawn)
    }

    /// A contact that leaves the play; the last ones stay, so that there is always somebody.
    fn leaver(&mut self) -> usize {
        let subject = self.subject();
        let stay = self.gone.iter().filter(|gone| !**gone).count();
        if let Some(gone) = self.gone.get_mut(subject).filter(|_| stay > self.cast / 2) {
            *gone = true;
        }
        subject
    }

    /// All roles in some order.
    fn everybody(&mut self) -> [Role; 3] {
        let all = [Role::User(0), Role::User(1), Role::Product];
        debug_assert_eq!(ACCOUNTS.len(), 2);
        let first = self.rng.random_range(0..3);
        [all[first], all[(first + 1) % 3], all[(first + 2) % 3]]
    }

    fn one_of(&mut self, list: &[&'static str]) -> &'static str {
        list.choose(&mut self.rng).copied().unwrap_or("title")
    }

    /// A text that nobody else writes.
    fn word(&mut self) -> Json {
        json!(format!("Word {}", self.fresh()))
    }

    fn fresh(&mut self) -> u64 {
        self.next_word += 1;
        self.next_word
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn scenes(seed: u64) -> Vec<Scene> {
        let mut script = Script::new(seed, 12);
        (0..66).map(|_| script.scene()).collect()
    }

    #[test]
    fn a_seed_repeats_and_differs_from_others() {
        assert_eq!(scenes(3), scenes(3));
        assert_ne!(scenes(3), scenes(4));
    }

    #[test]
    fn every_scene_of_the_issue_comes_up() {
        let scenes = scenes(1);
        let fields = |act: &Act| match &act.deed {
            Deed::Set(fields) => fields.iter().map(|(name, _)| *name).collect::<BTreeSet<_>>(),
            _ => BTreeSet::new(),
        };
        let deletes = |scene: &Scene| scene.iter().any(|act| act.deed == Deed::Delete);
        assert!(scenes.iter().any(|scene| scene.len() == 3 && fields(&scene[0]) == fields(&scene[1])));
        assert!(scenes.iter().any(|scene| scene.len() == 3 && fields(&scene[0]).is_disjoint(&fields(&scene[1]))));
        assert!(scenes.iter().any(|scene| deletes(scene) && scene.len() == 1));
        assert!(scenes.iter().any(|scene| deletes(scene) && scene.len() == 2));
        assert!(scenes.iter().flatten().any(|act| matches!(act.deed, Deed::Create(_))));
        assert!(scenes.iter().flatten().any(|act| matches!(act.deed, Deed::Toggle(..))));
    }

    #[test]
    fn somebody_always_stays_in_the_play() {
        let mut script = Script::new(5, 4);
        (0..500).for_each(|_| drop(script.scene()));
        assert!(script.gone.iter().filter(|gone| !**gone).count() >= 2);
    }
}
