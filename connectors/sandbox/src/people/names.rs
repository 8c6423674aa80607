//! The word lists people are drawn from: short, and chosen for what breaks programs rather than for realism.

/// A name with the letters that its bearer would use in an e-mail address.
pub(super) type Name = (&'static str, &'static str);

pub(super) const FIRST_PLAIN: &[Name] = &[
    ("Ann", "ann"),
    ("Bella", "bella"),
    ("Carlos", "carlos"),
    ("Dana", "dana"),
    ("Elif", "elif"),
    ("Frank", "frank"),
    ("Grace", "grace"),
    ("Hugo", "hugo"),
    ("Ines", "ines"),
    ("Jonas", "jonas"),
    ("Kofi", "kofi"),
    ("Lena", "lena"),
    ("Maya", "maya"),
    ("Noah", "noah"),
    ("Olga", "olga"),
    ("Priya", "priya"),
    ("Quentin", "quentin"),
    ("Rosa", "rosa"),
    ("Sami", "sami"),
    ("Tariq", "tariq"),
    ("Uma", "uma"),
    ("Viktor", "viktor"),
    ("Wen", "wen"),
    ("Yara", "yara"),
];

pub(super) const FIRST_UNICODE: &[Name] = &[
    ("José", "jose"),
    ("Zoë", "zoe"),
    ("Søren", "soren"),
    ("Łukasz", "lukasz"),
    ("Çağla", "cagla"),
    ("Nguyễn", "nguyen"),
    ("Дмитрий", "dmitri"),
    ("さくら", "sakura"),
    ("伟", "wei"),
    ("محمد", "mohammed"),
    ("Siân", "sian"),
    ("Anaïs", "anais"),
    ("Jürgen", "juergen"),
    ("Mary-Jane 🌻", "maryjane"),
];

pub(super) const LAST_PLAIN: &[Name] = &[
    ("Abbott", "abbott"),
    ("Baker", "baker"),
    ("Costa", "costa"),
    ("de la Cruz", "delacruz"),
    ("Eriksen", "eriksen"),
    ("Fischer", "fischer"),
    ("Garcia", "garcia"),
    ("Hansen", "hansen"),
    ("Ivanov", "ivanov"),
    ("Jones", "jones"),
    ("Kim", "kim"),
    ("Larsen", "larsen"),
    ("McDonald", "mcdonald"),
    ("Null", "null"),
    ("O'Brien", "obrien"),
    ("Patel", "patel"),
    ("Quinn", "quinn"),
    ("Rossi", "rossi"),
    ("Smith-Jones", "smithjones"),
    ("Tanaka", "tanaka"),
    ("Ueda", "ueda"),
    ("van der Berg", "vanderberg"),
    ("Weber", "weber"),
    ("Young", "young"),
];

pub(super) const LAST_UNICODE: &[Name] = &[
    ("Müller", "mueller"),
    ("Ångström", "angstrom"),
    ("Nuñez", "nunez"),
    ("Øvergård", "overgard"),
    ("Dvořák", "dvorak"),
    ("Жуков", "zhukov"),
    ("Παπαδόπουλος", "papadopoulos"),
    ("山田", "yamada"),
    ("李", "li"),
    ("O’Neill", "oneill"),
    ("Weiß", "weiss"),
    ("Şahin", "sahin"),
];

pub(super) const COMPANIES: &[&str] = &[
    "Acme",
    "Bluebird Foods",
    "Crane & Sons",
    "Delta Freight",
    "Evergreen Health",
    "Foxglove",
    "Granite Labs",
    "Harbour Trust",
    "Ironwood",
    "Juniper Media",
    "Kestrel Air",
    "Lighthouse Energy",
    "Meadow Bank",
    "Northwind",
    "Orchard Software",
    "Pinnacle Steel",
];

pub(super) const TITLES: &[&str] = &[
    "Account Manager",
    "Buyer",
    "CEO",
    "CFO",
    "Chief of Staff",
    "Customer Success Lead",
    "Designer",
    "Director, Sales",
    "Engineer",
    "Head of IT",
    "HR Partner",
    "Marketing Manager",
    "Operations Analyst",
    "Product Manager",
    "VP Engineering",
    "Warehouse Lead",
];

pub(super) const DEPARTMENTS: &[&str] =
    &["Sales", "Marketing", "Finance", "IT", "Operations", "R&D", "People", "Support"];

pub(super) const STREETS: &[&str] = &[
    "Main Street",
    "High Road",
    "Elm Avenue",
    "Rue de Rivoli",
    "Lindenstraße",
    "Calle Mayor",
    "Harbour View",
    "1st Ave",
];

/// City, state or region, postal code, country, and the country's telephone prefix.
pub(super) const PLACES: &[(&str, &str, &str, &str, &str)] = &[
    ("Boston", "MA", "02108", "United States", "1"),
    ("Denver", "CO", "80202", "United States", "1"),
    ("London", "England", "SW1A 1AA", "United Kingdom", "44"),
    ("München", "Bayern", "80331", "Germany", "49"),
    ("Köln", "Nordrhein-Westfalen", "50667", "Germany", "49"),
    ("São Paulo", "SP", "01000-000", "Brazil", "55"),
    ("Malmö", "Skåne", "211 20", "Sweden", "46"),
    ("東京", "東京都", "100-0001", "Japan", "81"),
    ("Kraków", "małopolskie", "30-001", "Poland", "48"),
    ("İstanbul", "İstanbul", "34000", "Türkiye", "90"),
];

pub(super) const LEAD_SOURCES: &[&str] = &["Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other"];

pub(super) const TIERS: &[&str] = &["bronze", "silver", "gold", "platinum"];

pub(super) const INTERESTS: &[&str] = &["analytics", "billing", "integrations", "mobile", "security"];

pub(super) const NOTES: &[&str] = &[
    "Prefers e-mail.",
    "Met at the trade fair.",
    "Renewal in spring; ask about “premium” support.",
    "Speaks German & French.",
    "Tabs\tand  double  spaces.",
    "Do not call before 10:00.",
    "Emoji in the subject line? 👍🏽",
    "Zero-width\u{200b}space inside.",
];
