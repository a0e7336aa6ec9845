//! Enumerations that are stored and sent as one word.

/// Declares an enumeration whose variants are words in JSON and in SQL.
macro_rules! words {
    ($($(#[$doc:meta])* pub enum $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant,)* }

        impl $name {
            /// The word that is stored.
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word,)* }
            }
        }
        impl db::AsValue for $name {
            fn as_value(&self) -> db::Value<'_> { db::Value::Text(self.word().into()) }
        }
        impl db::FromValue for $name {
            fn from_value(value: db::Value<'_>) -> Option<Self> {
                let db::Value::Text(text) = value else { return None };
                [$($name::$variant),*].into_iter().find(|v| v.word() == text)
            }
        }
    )*};
}
pub(crate) use words;
