//! The environment as it was at the start, for texts of workflow files that name variables: `${NAME}`.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};

/// The variables, by name. They may be secrets: none is ever shown.
#[derive(Clone, Debug, Default)]
pub struct Environment(pub BTreeMap<String, SecretString>);

impl Environment {
    /// The value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(ExposeSecret::expose_secret)
    }

    /// Puts the values of the variables in the place of their names, each written as `${NAME}`.
    ///
    /// # Errors
    /// What is wrong, and the cure: a variable that is not set, or a `${` that names none.
    pub fn fill_in(&self, text: &str) -> Result<String, String> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, behind) = after
                .split_once('}')
                .filter(|(name, _)| is_name(name))
                .ok_or("a `${` begins no name of a variable; write it as `${NAME}`")?;
            let value = self.get(name).ok_or_else(|| {
                format!("the variable {name} is not set; set it where Dagway is started")
            })?;
            filled.push_str(before);
            filled.push_str(value);
            rest = behind;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

fn is_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !text.is_empty() && text.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_once_and_nothing_else_is() {
        let variables = [("A", "${B}"), ("B_2", "b"), ("EMPTY", "")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.into()));
        let environment = Environment(variables.into());
        let filled = |text| environment.fill_in(text);
        assert_eq!(filled("").unwrap(), "");
        assert_eq!(filled("$5 {A} $A }").unwrap(), "$5 {A} $A }");
        assert_eq!(filled("x${A}y${B_2}${EMPTY}").unwrap(), "x${B}yb");
        assert_eq!(
            filled("${C}").unwrap_err(),
            "the variable C is not set; set it where Dagway is started"
        );
        for wrong in ["${", "a${A", "${}", "${A B}", "${A${B_2}}"] {
            assert_eq!(
                filled(wrong).unwrap_err(),
                "a `${` begins no name of a variable; write it as `${NAME}`"
            );
        }
        assert!(!format!("{environment:?}").contains("${B}"));
    }
}
