//! The properties that every account has from the start.

use super::schema::{Choice, Derived, ObjectKind, Property, PropertyType, Rule, Schema, Storage};

/// The funnel positions in their order.
pub(crate) const LIFECYCLE_STAGES: [(&str, &str); 8] = [
    ("subscriber", "Subscriber"),
    ("lead", "Lead"),
    ("marketingqualifiedlead", "Marketing Qualified Lead"),
    ("salesqualifiedlead", "Sales Qualified Lead"),
    ("opportunity", "Opportunity"),
    ("customer", "Customer"),
    ("evangelist", "Evangelist"),
    ("other", "Other"),
];

const LEAD_STATUSES: [(&str, &str); 8] = [
    ("NEW", "New"),
    ("OPEN", "Open"),
    ("IN_PROGRESS", "In Progress"),
    ("OPEN_DEAL", "Open Deal"),
    ("UNQUALIFIED", "Unqualified"),
    ("ATTEMPTED_TO_CONTACT", "Attempted to Contact"),
    ("CONNECTED", "Connected"),
    ("BAD_TIMING", "Bad Timing"),
];

const COMPANY_TYPES: [(&str, &str); 5] = [
    ("PROSPECT", "Prospect"),
    ("PARTNER", "Partner"),
    ("RESELLER", "Reseller"),
    ("VENDOR", "Vendor"),
    ("OTHER", "Other"),
];

const INDUSTRIES: [(&str, &str); 8] = [
    ("ACCOUNTING", "Accounting"),
    ("BANKING", "Banking"),
    ("COMPUTER_SOFTWARE", "Computer Software"),
    ("CONSTRUCTION", "Construction"),
    ("HOSPITAL_HEALTH_CARE", "Hospital & Health Care"),
    ("INFORMATION_TECHNOLOGY_AND_SERVICES", "Information Technology and Services"),
    ("LOGISTICS_AND_SUPPLY_CHAIN", "Logistics and Supply Chain"),
    ("RETAIL", "Retail"),
];

/// One row of the tables below: name, label, type and the rest by short constructors.
struct Row {
    name: &'static str,
    label: &'static str,
    kind: PropertyType,
    field_type: &'static str,
    choices: &'static [(&'static str, &'static str)],
    rule: Rule,
    storage: Storage,
}

const fn text(name: &'static str, label: &'static str) -> Row {
    Row {
        name,
        label,
        kind: PropertyType::String,
        field_type: "text",
        choices: &[],
        rule: Rule::Plain,
        storage: Storage::Writable,
    }
}

const fn typed(name: &'static str, label: &'static str, kind: PropertyType, field_type: &'static str) -> Row {
    Row { kind, field_type, ..text(name, label) }
}

const fn ruled(row: Row, rule: Rule) -> Row {
    Row { rule, ..row }
}

const fn choice(name: &'static str, label: &'static str, choices: &'static [(&'static str, &'static str)]) -> Row {
    Row { choices, ..typed(name, label, PropertyType::Enumeration, "select") }
}

const fn system(row: Row) -> Row {
    Row { storage: Storage::System, ..row }
}

const fn derived(name: &'static str, label: &'static str, kind: PropertyType, derived: Derived) -> Row {
    Row { storage: Storage::Derived(derived), ..typed(name, label, kind, "calculation_equation") }
}

const CONTACT_ROWS: &[Row] = &[
    ruled(text("email", "Email"), Rule::Email),
    text("firstname", "First Name"),
    text("lastname", "Last Name"),
    ruled(typed("phone", "Phone Number", PropertyType::String, "phonenumber"), Rule::Phone),
    ruled(typed("mobilephone", "Mobile Phone Number", PropertyType::String, "phonenumber"), Rule::Phone),
    text("fax", "Fax Number"),
    text("company", "Company Name"),
    text("jobtitle", "Job Title"),
    text("salutation", "Salutation"),
    text("website", "Website URL"),
    text("address", "Street Address"),
    text("city", "City"),
    text("state", "State/Region"),
    text("zip", "Postal Code"),
    text("country", "Country/Region"),
    text("industry", "Industry"),
    text("annualrevenue", "Annual Revenue"),
    text("date_of_birth", "Date of birth"),
    typed("message", "Message", PropertyType::String, "textarea"),
    text("twitterhandle", "Twitter Username"),
    text("hubspot_owner_id", "Contact owner"),
    ruled(choice("lifecyclestage", "Lifecycle Stage", &LIFECYCLE_STAGES), Rule::LifecycleStage),
    choice("hs_lead_status", "Lead Status", &LEAD_STATUSES),
    system(text("hs_additional_emails", "Additional email addresses")),
    derived("hs_object_id", "Record ID", PropertyType::Number, Derived::ObjectId),
    derived("createdate", "Create Date", PropertyType::DateTime, Derived::Created),
    derived("lastmodifieddate", "Last Modified Date", PropertyType::DateTime, Derived::Modified),
    derived("hs_email_domain", "Email Domain", PropertyType::String, Derived::EmailDomain),
    derived("hs_full_name_or_email", "Full name or email", PropertyType::String, Derived::FullNameOrEmail),
    derived("hs_merged_object_ids", "Merged record IDs", PropertyType::String, Derived::MergedIds),
];

const COMPANY_ROWS: &[Row] = &[
    text("name", "Company name"),
    ruled(text("domain", "Company Domain Name"), Rule::Domain),
    text("website", "Website URL"),
    ruled(typed("phone", "Phone Number", PropertyType::String, "phonenumber"), Rule::Phone),
    text("address", "Street Address"),
    text("address2", "Street Address 2"),
    text("city", "City"),
    text("state", "State/Region"),
    text("zip", "Postal Code"),
    text("country", "Country/Region"),
    choice("industry", "Industry", &INDUSTRIES),
    choice("type", "Type", &COMPANY_TYPES),
    typed("numberofemployees", "Number of Employees", PropertyType::Number, "number"),
    typed("annualrevenue", "Annual Revenue", PropertyType::Number, "number"),
    text("founded_year", "Year Founded"),
    typed("is_public", "Is Public", PropertyType::Bool, "booleancheckbox"),
    typed("description", "Description", PropertyType::String, "textarea"),
    text("hubspot_owner_id", "Company owner"),
    ruled(choice("lifecyclestage", "Lifecycle Stage", &LIFECYCLE_STAGES), Rule::LifecycleStage),
    derived("hs_object_id", "Record ID", PropertyType::Number, Derived::ObjectId),
    derived("createdate", "Create Date", PropertyType::DateTime, Derived::Created),
    derived("hs_lastmodifieddate", "Last Modified Date", PropertyType::DateTime, Derived::Modified),
    derived("hs_merged_object_ids", "Merged record IDs", PropertyType::String, Derived::MergedIds),
];

/// The schema of a fresh account.
pub(crate) fn schema(kind: ObjectKind) -> Schema {
    let (rows, group) = match kind {
        ObjectKind::Contacts => (CONTACT_ROWS, "contactinformation"),
        ObjectKind::Companies => (COMPANY_ROWS, "companyinformation"),
    };
    let mut schema = Schema::default();
    for row in rows {
        let added = schema.add(definition(row, group));
        debug_assert!(added.is_ok(), "the table names {} twice", row.name);
    }
    schema
}

fn definition(row: &Row, group: &str) -> Property {
    Property {
        name: row.name.to_owned(),
        label: row.label.to_owned(),
        description: String::new(),
        group: group.to_owned(),
        kind: row.kind,
        field_type: row.field_type.to_owned(),
        choices: row.choices.iter().map(|(value, label)| visible(value, label)).collect(),
        unique: row.rule == Rule::Email,
        rule: row.rule,
        storage: row.storage,
        hubspot_defined: true,
        created_ms: None,
    }
}

/// A choice that forms show.
pub(crate) fn visible(value: &str, label: &str) -> Choice {
    Choice { label: label.to_owned(), value: value.to_owned(), hidden: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_have_no_name_twice_and_all_defaults_exist() {
        for (kind, count) in [(ObjectKind::Contacts, CONTACT_ROWS.len()), (ObjectKind::Companies, COMPANY_ROWS.len())] {
            let schema = schema(kind);
            assert_eq!(schema.iter().count(), count);
            let names = kind.default_properties().iter().chain(kind.searchable_properties());
            for name in names.chain(&kind.constant_properties()) {
                assert!(schema.find(name).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn definitions_say_who_may_write() {
        let schema = schema(ObjectKind::Contacts);
        let shown = |name: &str| schema.get(schema.find(name).unwrap()).to_json();
        assert_eq!(shown("email")["hasUniqueValue"], true);
        assert_eq!(shown("createdate")["modificationMetadata"]["readOnlyValue"], true);
        assert_eq!(shown("lifecyclestage")["options"][1]["value"], "lead");
        assert_eq!(shown("firstname")["modificationMetadata"]["readOnlyValue"], false);
    }
}
