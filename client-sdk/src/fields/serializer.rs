//! A serialiser that keeps what a field means: plain JSON would forget which numbers are counters.

use serde::{
    Serialize, Serializer,
    ser::{Error as _, Impossible, SerializeMap, SerializeStruct},
};
use serde_json::{Value as Json, value::Serializer as JsonSerializer};

use super::{FieldValue, FieldValues, kinds};

/// A value that no field can hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// One field's value has no place in a record.
    #[error("the field `{field}` {reason}; a field holds text, a number, true or false, a set of texts, or nothing")]
    Field {
        /// The field.
        field: String,
        /// What is wrong with its value.
        reason: String,
    },
    /// The value as a whole is no set of fields.
    #[error("the value is not made of fields ({0}): use a struct with named fields, or a map by field name")]
    Whole(String),
}

impl serde::ser::Error for Unfit {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Whole(message.to_string())
    }
}

/// Serialises a struct or a map field by field.
pub(super) struct Top;

/// The fields found so far.
#[derive(Default)]
pub(super) struct Parts {
    fields: FieldValues,
    key: Option<String>,
}

impl Parts {
    fn add<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Unfit> {
        let unfit = |reason: String| Unfit::Field { field: name.to_owned(), reason };
        let value = value.serialize(One).map_err(|error| unfit(error.to_string()))?;
        self.fields.insert(name.to_owned(), value.fit().map_err(unfit)?);
        Ok(())
    }
}

impl SerializeStruct for Parts {
    type Ok = FieldValues;
    type Error = Unfit;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Unfit> {
        self.add(name, value)
    }

    fn end(self) -> Result<FieldValues, Unfit> {
        Ok(self.fields)
    }
}

impl SerializeMap for Parts {
    type Ok = FieldValues;
    type Error = Unfit;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unfit> {
        match serde_json::to_value(key) {
            Ok(Json::String(name)) => self.key = Some(name),
            _ => return Err(Unfit::custom("a key is not text")),
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unfit> {
        let name = self.key.take().ok_or_else(|| Unfit::custom("a value came before its key"))?;
        self.add(&name, value)
    }

    fn end(self) -> Result<FieldValues, Unfit> {
        Ok(self.fields)
    }
}

/// Stands for every method of a serialiser that meets something other than fields.
macro_rules! no_fields {
    ($($method:ident($($argument:ty),*) -> $ok:ty;)*) => {
        $(fn $method(self, $(_: $argument),*) -> Result<$ok, Unfit> {
            Err(Unfit::custom("it is a single value"))
        })*
    };
}

impl Serializer for Top {
    type Ok = FieldValues;
    type Error = Unfit;
    type SerializeSeq = Impossible<FieldValues, Unfit>;
    type SerializeTuple = Impossible<FieldValues, Unfit>;
    type SerializeTupleStruct = Impossible<FieldValues, Unfit>;
    type SerializeTupleVariant = Impossible<FieldValues, Unfit>;
    type SerializeMap = Parts;
    type SerializeStruct = Parts;
    type SerializeStructVariant = Impossible<FieldValues, Unfit>;

    no_fields! {
        serialize_bool(bool) -> FieldValues;
        serialize_i8(i8) -> FieldValues;
        serialize_i16(i16) -> FieldValues;
        serialize_i32(i32) -> FieldValues;
        serialize_i64(i64) -> FieldValues;
        serialize_u8(u8) -> FieldValues;
        serialize_u16(u16) -> FieldValues;
        serialize_u32(u32) -> FieldValues;
        serialize_u64(u64) -> FieldValues;
        serialize_f32(f32) -> FieldValues;
        serialize_f64(f64) -> FieldValues;
        serialize_char(char) -> FieldValues;
        serialize_str(&str) -> FieldValues;
        serialize_bytes(&[u8]) -> FieldValues;
        serialize_none() -> FieldValues;
        serialize_unit() -> FieldValues;
        serialize_unit_variant(&'static str, u32, &'static str) -> FieldValues;
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<FieldValues, Unfit> {
        Ok(FieldValues::new())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<FieldValues, Unfit> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<FieldValues, Unfit> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<FieldValues, Unfit> {
        Err(Unfit::custom("it is an enum"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts, Unfit> {
        Ok(Parts::default())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts, Unfit> {
        Ok(Parts::default())
    }
}

/// What one field was serialised to.
pub(super) enum Found {
    Plain(Json),
    Kind(&'static str, Json),
}

impl Found {
    fn fit(self) -> Result<FieldValue, String> {
        match self {
            Self::Plain(json) => fit(json),
            Self::Kind(kinds::COUNTER, json) => json.as_i64().map(FieldValue::Counter).ok_or("is no counter".into()),
            Self::Kind(kinds::TIMESTAMP, Json::String(text)) => match text.parse::<jiff::Timestamp>() {
                Ok(at) => Ok(FieldValue::Instant(at.as_millisecond())),
                Err(error) => Err(format!("is no instant: {error}")),
            },
            Self::Kind(kinds::TEXT, Json::String(text)) => Ok(FieldValue::Text(text)),
            Self::Kind(_, json) => fit(json),
        }
    }
}

fn fit(json: Json) -> Result<FieldValue, String> {
    Ok(match json {
        Json::Null => FieldValue::Null,
        Json::Bool(flag) => FieldValue::Bool(flag),
        Json::String(text) => FieldValue::Str(text),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => FieldValue::Int(number),
            (None, Some(float)) if !number.is_u64() => FieldValue::Float(float),
            _ => return Err("is a number beyond 64 bits".into()),
        },
        Json::Array(members) => {
            let member = |member| match member {
                Json::String(text) => Ok(text),
                _ => Err("is a list of something other than texts".to_owned()),
            };
            FieldValue::Set(members.into_iter().map(member).collect::<Result<_, _>>()?)
        }
        Json::Object(_) => return Err("holds fields of its own".into()),
    })
}

/// Serialises one field: as JSON, but for the kinds that JSON has no word for.
struct One;

/// Hands a method of the serialiser on to that of JSON.
macro_rules! as_json {
    ($($method:ident($($name:ident: $argument:ty),*);)*) => {
        $(fn $method(self, $($name: $argument),*) -> Result<Found, serde_json::Error> {
            JsonSerializer.$method($($name),*).map(Found::Plain)
        })*
    };
}

impl Serializer for One {
    type Ok = Found;
    type Error = serde_json::Error;
    type SerializeSeq = Members;
    type SerializeTuple = Members;
    type SerializeTupleStruct = Members;
    type SerializeTupleVariant = Impossible<Found, serde_json::Error>;
    type SerializeMap = Impossible<Found, serde_json::Error>;
    type SerializeStruct = Impossible<Found, serde_json::Error>;
    type SerializeStructVariant = Impossible<Found, serde_json::Error>;

    as_json! {
        serialize_bool(v: bool);
        serialize_i8(v: i8);
        serialize_i16(v: i16);
        serialize_i32(v: i32);
        serialize_i64(v: i64);
        serialize_u8(v: u8);
        serialize_u16(v: u16);
        serialize_u32(v: u32);
        serialize_u64(v: u64);
        serialize_f32(v: f32);
        serialize_f64(v: f64);
        serialize_char(v: char);
        serialize_str(v: &str);
        serialize_bytes(v: &[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(name: &'static str);
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str);
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Found, Self::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<Found, Self::Error> {
        match name {
            kinds::COUNTER | kinds::TIMESTAMP | kinds::TEXT => Ok(Found::Kind(name, value.serialize(JsonSerializer)?)),
            _ => value.serialize(self),
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Found, Self::Error> {
        Err(Self::Error::custom("holds fields of its own"))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Members, Self::Error> {
        Ok(Members::default())
    }

    fn serialize_tuple(self, _: usize) -> Result<Members, Self::Error> {
        Ok(Members::default())
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Members, Self::Error> {
        Ok(Members::default())
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Self::Error> {
        Err(Self::Error::custom("holds fields of its own"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Self::Error> {
        Err(Self::Error::custom("holds fields of its own"))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, Self::Error> {
        Err(Self::Error::custom("holds fields of its own"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Self::Error> {
        Err(Self::Error::custom("holds fields of its own"))
    }
}

/// The members of a set, in the order in which they came.
#[derive(Default)]
struct Members(Vec<Json>);

/// The three kinds of sequence differ in the names of their methods alone.
macro_rules! members {
    ($($trait:ident::$method:ident;)*) => {
        $(impl serde::ser::$trait for Members {
            type Ok = Found;
            type Error = serde_json::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Self::Error> {
                self.0.push(serde_json::to_value(value)?);
                Ok(())
            }

            fn end(self) -> Result<Found, Self::Error> {
                Ok(Found::Plain(Json::Array(self.0)))
            }
        })*
    };
}

members! {
    SerializeSeq::serialize_element;
    SerializeTuple::serialize_element;
    SerializeTupleStruct::serialize_field;
}
