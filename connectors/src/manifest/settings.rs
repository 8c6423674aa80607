//! What an integration may set: what every manifest has, and what this one adds.

use serde_json::{Map, Value};

use super::spec::{Setting, SettingType, Spec};
use crate::{
    located::suggest,
    registry::{BuildError, check_time_scale, wrong_settings},
    rest::{BaseUrl, BaseUrlError},
};

/// The settings of one integration.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    /// Where calls of connections go that name no address of their own.
    pub(super) base_url: Option<String>,
    /// The share of all limits left to others, in percent.
    pub(super) reserve_percent: u8,
    /// Multiplies lags, overlaps and waits, for sandboxes whose times are scaled.
    pub(super) time_scale: f64,
    /// The limits that were set, by the setting's name.
    pub(super) limits: Map<String, Value>,
    /// The manifest's own, as templates look them up.
    pub(super) own: Value,
}

impl Settings {
    /// Decodes and checks settings.
    pub(super) fn parse(spec: &Spec, value: &Value) -> Result<Self, BuildError> {
        let wrong = |message: String| wrong_settings(&spec.provider, message);
        let empty = Map::new();
        let given = match value {
            Value::Null => &empty,
            Value::Object(given) => given,
            _ => return Err(wrong("settings are a map".to_owned())),
        };
        let budgets: Vec<&str> = spec.limits.budgets.iter().filter_map(|budget| budget.setting.as_deref()).collect();
        let names = || {
            let own = super::laws::OWN_SETTINGS.iter().copied();
            own.chain(budgets.iter().copied()).chain(spec.settings.keys().map(String::as_str))
        };
        let mut settings = Self {
            base_url: spec.connection.base_url.clone(),
            reserve_percent: spec.limits.reserve_percent,
            time_scale: 1.0,
            limits: Map::new(),
            own: Value::Null,
        };
        let mut own = Map::new();
        for (name, value) in given {
            match name.as_str() {
                "base_url" => {
                    let text = value.as_str().ok_or_else(|| wrong("`base_url` is an address".to_owned()))?;
                    let address = |error: BaseUrlError| wrong(format!("`base_url`: {error}"));
                    BaseUrl::parse(text).map_err(address)?;
                    settings.base_url = Some(text.to_owned());
                }
                "reserve_percent" => {
                    let percent =
                        value.as_u64().and_then(|percent| u8::try_from(percent).ok()).filter(|percent| *percent < 100);
                    settings.reserve_percent = percent
                        .ok_or_else(|| wrong("`reserve_percent` must be a whole number below 100".to_owned()))?;
                }
                "time_scale" => {
                    settings.time_scale = value.as_f64().unwrap_or(f64::NAN);
                    check_time_scale(&spec.provider, settings.time_scale)?;
                }
                name if budgets.contains(&name) => {
                    let limit = value.as_u64().filter(|limit| (1..=u64::from(u32::MAX)).contains(limit));
                    limit.ok_or_else(|| wrong(format!("`{name}` must be a whole number of at least 1")))?;
                    settings.limits.insert(name.to_owned(), value.clone());
                }
                name => match spec.settings.get(name) {
                    Some(setting) => {
                        fits(name, setting, value).map_err(wrong)?;
                        own.insert(name.to_owned(), value.clone());
                    }
                    None => {
                        let known = names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                        let near = suggest(name, names());
                        return Err(wrong(format!("unknown field `{name}`: {near}, expected one of {known}")));
                    }
                },
            }
        }
        for (name, setting) in &spec.settings {
            if let (None, Some(default)) = (own.get(name), &setting.default) {
                own.insert(name.clone(), default.clone());
            }
        }
        settings.own = Value::Object(own);
        Ok(settings)
    }

    /// The settings that are needed and were not given. An integration of which only facts are asked needs none.
    pub(super) fn missing<'s>(&self, spec: &'s Spec) -> Option<&'s str> {
        spec.settings.keys().map(String::as_str).find(|name| self.own.get(name).is_none())
    }
}

/// Whether a value is one that the setting may have.
pub(super) fn fits(name: &str, setting: &Setting, value: &Value) -> Result<(), String> {
    let (right, what) = match setting.ty {
        SettingType::Text => (value.is_string(), "a text"),
        SettingType::Number => (value.is_i64() || value.is_u64(), "a whole number"),
        SettingType::Boolean => (value.is_boolean(), "true or false"),
    };
    if !right {
        return Err(format!("`{name}` is {what}"));
    }
    match value.as_str() {
        Some(text) if !setting.choices.is_empty() && !setting.choices.iter().any(|choice| choice == text) => {
            let near = suggest(text, setting.choices.iter().map(String::as_str));
            Err(format!("`{name}` cannot be `{text}`: {near}"))
        }
        _ => Ok(()),
    }
}
