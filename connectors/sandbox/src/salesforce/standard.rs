//! The object types and fields that every org has, and the custom fields of this one.

use super::schema::{Access, Field, FieldType, Key, NumberKind, Origin, Schema, SystemField};
use super::seed::{ACCOUNT_PREFIX, CONTACT_PREFIX};
use super::table::USER_PREFIX;

const SALUTATIONS: &[&str] = &["Mr.", "Ms.", "Mrs.", "Dr.", "Prof.", "Mx."];
const SOURCES: &[&str] = &["Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other"];
const TIERS: &[&str] = &["bronze", "silver", "gold", "platinum"];
const INTERESTS: &[&str] = &["analytics", "billing", "integrations", "mobile", "security"];
const RATINGS: &[&str] = &["Hot", "Warm", "Cold"];
const LEAD_STATUSES: &[&str] =
    &["Open - Not Contacted", "Working - Contacted", "Closed - Converted", "Closed - Not Converted"];
const ACCOUNT_TYPES: &[&str] = &["Prospect", "Customer - Direct", "Customer - Channel", "Other"];
const INDUSTRIES: &[&str] = &["Agriculture", "Banking", "Consulting", "Education", "Energy", "Retail", "Technology"];

/// The object types in the order of the global describe.
pub(crate) fn schemas() -> Vec<Schema> {
    vec![account(), contact(), lead(), user()]
}

fn account() -> Schema {
    let mut schema = Schema::new("Account", "Account", "Accounts", ACCOUNT_PREFIX, true);
    schema.add_all(system_fields("Account"));
    schema.add_all([
        stored("Name", "Account Name", text(255)).required(),
        stored("Type", "Account Type", open_picklist(ACCOUNT_TYPES)),
        stored("ParentId", "Parent Account ID", FieldType::Reference { to: "Account", relationship: "Parent" }),
    ]);
    schema.add_all(address("Billing", "Billing", "BillingAddress"));
    schema.add_all([
        stored("Phone", "Account Phone", FieldType::Phone),
        stored("Fax", "Account Fax", FieldType::Phone),
        stored("AccountNumber", "Account Number", text(40)),
        stored("Website", "Website", FieldType::Url),
        stored("Industry", "Industry", open_picklist(INDUSTRIES)),
        stored("AnnualRevenue", "Annual Revenue", number(NumberKind::Currency, 18, 0)),
        stored("NumberOfEmployees", "Employees", FieldType::Int { digits: 8 }),
        stored("Description", "Account Description", FieldType::TextArea { length: 32_000 }),
        stored("Rating", "Account Rating", open_picklist(RATINGS)),
        owner(),
    ]);
    schema
}

fn contact() -> Schema {
    let mut schema = Schema::new("Contact", "Contact", "Contacts", CONTACT_PREFIX, true);
    schema.add_all(system_fields("Contact"));
    schema.add_all([stored(
        "AccountId",
        "Account ID",
        FieldType::Reference { to: "Account", relationship: "Account" },
    )]);
    schema.add_all(person_name());
    schema.add_all(address("Mailing", "Mailing", "MailingAddress"));
    schema.add_all([
        stored("Phone", "Business Phone", FieldType::Phone),
        stored("Fax", "Business Fax", FieldType::Phone),
        stored("MobilePhone", "Mobile Phone", FieldType::Phone),
        stored("HomePhone", "Home Phone", FieldType::Phone),
        stored("ReportsToId", "Reports To ID", FieldType::Reference { to: "Contact", relationship: "ReportsTo" }),
        stored("Email", "Email", FieldType::Email),
        stored("Title", "Title", text(128)),
        stored("Department", "Department", text(80)),
        stored("LeadSource", "Lead Source", open_picklist(SOURCES)),
        stored("Birthdate", "Birthdate", FieldType::Date),
        stored("Description", "Contact Description", FieldType::TextArea { length: 32_000 }),
        owner(),
        stored("HasOptedOutOfEmail", "Email Opt Out", FieldType::Boolean),
        stored("DoNotCall", "Do Not Call", FieldType::Boolean),
        stored("Tier__c", "Tier", picklist(TIERS, true)).defined("00NSb0000000001"),
        stored("Interests__c", "Interests", FieldType::Multipicklist { values: owned(INTERESTS) })
            .defined("00NSb0000000002"),
        stored("Score__c", "Score", number(NumberKind::Double, 10, 2)).defined("00NSb0000000003"),
        stored("Website__c", "Website", FieldType::Url).defined("00NSb0000000004"),
        stored("Last_Contacted__c", "Last Contacted", FieldType::DateTime).defined("00NSb0000000005"),
        stored("Legacy_Number__c", "Legacy Number", text(40)).keyed(Key::External).defined("00NSb0000000006"),
    ]);
    schema
}

fn lead() -> Schema {
    let mut schema = Schema::new("Lead", "Lead", "Leads", *b"00Q", true);
    schema.add_all(system_fields("Lead"));
    schema.add_all(person_name());
    schema.add_all([stored("Title", "Title", text(128)), stored("Company", "Company", text(255)).required()]);
    schema.add_all(address("", "", "Address"));
    schema.add_all([
        stored("Phone", "Phone", FieldType::Phone),
        stored("MobilePhone", "Mobile Phone", FieldType::Phone),
        stored("Email", "Email", FieldType::Email),
        stored("Website", "Website", FieldType::Url),
        stored("Description", "Description", FieldType::TextArea { length: 32_000 }),
        stored("LeadSource", "Lead Source", open_picklist(SOURCES)),
        stored("Status", "Status", open_picklist(LEAD_STATUSES)).required().defaulted(LEAD_STATUSES[0]),
        stored("Industry", "Industry", open_picklist(INDUSTRIES)),
        stored("Rating", "Rating", open_picklist(RATINGS)),
        stored("AnnualRevenue", "Annual Revenue", number(NumberKind::Currency, 18, 0)),
        stored("NumberOfEmployees", "Employees", FieldType::Int { digits: 8 }),
        owner(),
        stored("HasOptedOutOfEmail", "Email Opt Out", FieldType::Boolean),
        stored("DoNotCall", "Do Not Call", FieldType::Boolean),
    ]);
    schema
}

fn user() -> Schema {
    let mut schema = Schema::new("User", "User", "Users", USER_PREFIX, false);
    schema.add_all(
        system_fields("User").into_iter().filter(|field| {
            !matches!(field.origin, Origin::System(SystemField::IsDeleted | SystemField::MasterRecordId))
        }),
    );
    schema.add_all([
        stored("Username", "Username", text(80)),
        stored("Name", "Full Name", text(121)),
        stored("Email", "Email", FieldType::Email),
        stored("IsActive", "Active", FieldType::Boolean),
    ]);
    schema
}

fn system_fields(object: &'static str) -> Vec<Field> {
    let user = |relationship| FieldType::Reference { to: "User", relationship };
    vec![
        system("Id", &format!("{object} ID"), FieldType::Id, SystemField::Id),
        system("IsDeleted", "Deleted", FieldType::Boolean, SystemField::IsDeleted),
        system(
            "MasterRecordId",
            "Master Record ID",
            FieldType::Reference { to: object, relationship: "MasterRecord" },
            SystemField::MasterRecordId,
        ),
        system("CreatedDate", "Created Date", FieldType::DateTime, SystemField::CreatedDate),
        system("CreatedById", "Created By ID", user("CreatedBy"), SystemField::CreatedById),
        system("LastModifiedDate", "Last Modified Date", FieldType::DateTime, SystemField::LastModifiedDate),
        system("LastModifiedById", "Last Modified By ID", user("LastModifiedBy"), SystemField::LastModifiedById),
        system("SystemModstamp", "System Modstamp", FieldType::DateTime, SystemField::SystemModstamp),
    ]
}

fn person_name() -> Vec<Field> {
    let part = |mut field: Field| {
        field.compound = Some("Name");
        field
    };
    vec![
        part(stored("LastName", "Last Name", text(80))).required(),
        part(stored("FirstName", "First Name", text(40))),
        part(stored("Salutation", "Salutation", open_picklist(SALUTATIONS))),
        derived("Name", "Full Name", text(121), Origin::FullName),
    ]
}

/// The five stored parts of an address, and the compound under which they are also shown together.
fn address(prefix: &'static str, label: &str, compound: &'static str) -> Vec<Field> {
    let part = |name: &str, kind| {
        let label = format!("{label} {name}").trim().to_owned();
        let mut field = stored(&format!("{prefix}{name}"), &label, kind);
        field.compound = Some(compound);
        field
    };
    vec![
        part("Street", FieldType::TextArea { length: 255 }),
        part("City", text(40)),
        part("State", text(80)),
        part("PostalCode", text(20)),
        part("Country", text(80)),
        derived(compound, format!("{label} Address").trim(), FieldType::Address { prefix }, Origin::Compound),
    ]
}

fn owner() -> Field {
    stored("OwnerId", "Owner ID", FieldType::Reference { to: "User", relationship: "Owner" })
}

fn text(length: usize) -> FieldType {
    FieldType::Text { length }
}

fn number(kind: NumberKind, precision: u32, scale: u32) -> FieldType {
    FieldType::Number { kind, precision, scale }
}

fn picklist(values: &[&str], restricted: bool) -> FieldType {
    FieldType::Picklist { values: owned(values), restricted }
}

fn open_picklist(values: &[&str]) -> FieldType {
    picklist(values, false)
}

fn owned(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

/// A field whose value is stored in the row.
pub(crate) fn stored(name: &str, label: &str, kind: FieldType) -> Field {
    Field {
        name: name.to_owned(),
        label: label.to_owned(),
        kind,
        // The place is given when the field is added to a schema.
        origin: Origin::Stored(0),
        access: Access::Write,
        required: false,
        key: Key::None,
        compound: None,
        default: None,
        definition: None,
    }
}

fn system(name: &str, label: &str, kind: FieldType, field: SystemField) -> Field {
    derived(name, label, kind, Origin::System(field))
}

fn derived(name: &str, label: &str, kind: FieldType, origin: Origin) -> Field {
    Field { origin, access: Access::Read, ..stored(name, label, kind) }
}

impl Field {
    fn required(self) -> Self {
        Self { required: true, ..self }
    }

    fn defaulted(self, value: &'static str) -> Self {
        Self { default: Some(value), ..self }
    }

    fn keyed(self, key: Key) -> Self {
        Self { key, ..self }
    }

    fn defined(self, definition: &str) -> Self {
        Self { definition: Some(definition.to_owned()), ..self }
    }
}

impl Schema {
    fn add_all(&mut self, fields: impl IntoIterator<Item = Field>) {
        for field in fields {
            self.add(field);
        }
    }
}
