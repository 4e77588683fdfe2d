//! JSON Schemas in the dialect that a model's provider understands.
//!
//! Google takes a subset and refuses a request for one keyword too many; what is lost is told in the description where
//! a model can use it. Strict mode wants every property required and no others, and refuses a schema that says less.
//! This folder must not know what the schemas are for.
//!
//! | file | what |
//! | --- | --- |
//! | `google` | the subset that Google's models take |
//! | `moonshot` | choices as Moonshot's models read them |
//! | `plain_top` | schemas combined at the top, merged into one |
//! | `strict` | whether a schema may be enforced |

mod google;
mod moonshot;
mod plain_top;
mod strict;

use serde_json::Value;

pub use google::{GoogleSchema, for_google};
pub use moonshot::for_moonshot;
pub use plain_top::with_plain_top;
pub use strict::is_strict;

/// The names in a list of required properties.
fn names(required: Option<&Value>) -> impl Iterator<Item = &str> {
    let all = required.and_then(Value::as_array);
    all.into_iter().flatten().filter_map(Value::as_str)
}
