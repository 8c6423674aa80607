//! What the query string of a read asks for.

use url::form_urlencoded;

use super::errors::ApiError;

/// Rows of a list page where nothing is asked for, and at most; fewer with history.
const LIST_DEFAULT: usize = 10;
const LIST_MAX: usize = 100;
const LIST_WITH_HISTORY_MAX: usize = 50;

/// The parameters of a read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ReadParams {
    /// `limit`.
    limit: Option<String>,
    /// `after`.
    after: Option<String>,
    /// `properties`, split at commas.
    pub(crate) properties: Vec<String>,
    /// `propertiesWithHistory`, split at commas.
    pub(crate) with_history: Vec<String>,
    /// `archived`.
    pub(crate) archived: bool,
    /// `idProperty`.
    pub(crate) id_property: Option<String>,
}

impl ReadParams {
    /// Reads a query string. Parameters that the platform does not know are ignored.
    pub(crate) fn parse(query: Option<&str>) -> Self {
        let mut params = Self::default();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match name.as_ref() {
                "limit" => params.limit = Some(value.into_owned()),
                "after" => params.after = Some(value.into_owned()).filter(|after| !after.is_empty()),
                "properties" => params.properties.extend(names(&value)),
                "propertiesWithHistory" => params.with_history.extend(names(&value)),
                "archived" => params.archived = value == "true",
                "idProperty" => params.id_property = Some(value.into_owned()).filter(|name| !name.is_empty()),
                _ => {}
            }
        }
        params
    }

    /// The page size, or why it is not one.
    pub(crate) fn limit(&self) -> Result<usize, ApiError> {
        let most = if self.with_history.is_empty() { LIST_MAX } else { LIST_WITH_HISTORY_MAX };
        match self.limit.as_deref().map(str::parse::<usize>) {
            None => Ok(LIST_DEFAULT),
            Some(Ok(limit)) if (1..=most).contains(&limit) => Ok(limit),
            Some(Ok(limit)) => Err(ApiError::validation(format!(
                "The limit {limit} is not allowed here: it must be between 1 and {most}"
            ))),
            Some(Err(_)) => {
                Err(ApiError::validation("Invalid value for the query parameter limit: it must be an integer"))
            }
        }
    }

    /// The first id of the page, or why the cursor is none.
    pub(crate) fn first_id(&self) -> Result<u64, ApiError> {
        match self.after.as_deref() {
            None => Ok(0),
            Some(after) => after
                .parse()
                .map_err(|_| ApiError::validation(format!("Invalid value for the query parameter after: {after}"))),
        }
    }

    /// The query of the next page.
    pub(crate) fn next_query(&self, after: u64, limit: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &limit.to_string()).append_pair("after", &after.to_string());
        if !self.properties.is_empty() {
            query.append_pair("properties", &self.properties.join(","));
        }
        if !self.with_history.is_empty() {
            query.append_pair("propertiesWithHistory", &self.with_history.join(","));
        }
        if self.archived {
            query.append_pair("archived", "true");
        }
        query.finish()
    }
}

fn names(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_and_written_back() {
        let params = ReadParams::parse(Some("limit=20&after=7&properties=a%2Cb&properties=c&archived=true&x=y"));
        assert_eq!(params.limit(), Ok(20));
        assert_eq!(params.first_id(), Ok(7));
        assert_eq!(params.properties, ["a", "b", "c"]);
        let next = params.next_query(9, 20);
        assert_eq!(next, "limit=20&after=9&properties=a%2Cb%2Cc&archived=true");
        assert_eq!(ReadParams::parse(Some(&next)).properties, params.properties);
    }

    #[test]
    fn bad_pages_are_refused() {
        for query in ["limit=0", "limit=101", "limit=x", "limit=51&propertiesWithHistory=email"] {
            assert!(ReadParams::parse(Some(query)).limit().is_err(), "{query}");
        }
        assert!(ReadParams::parse(Some("after=x")).first_id().is_err());
        assert_eq!(ReadParams::parse(None).limit(), Ok(10));
    }
}
