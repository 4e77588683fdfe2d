//! Ids of tool calls in the form that the target takes.

use std::borrow::Cow;
use std::collections::HashMap;

use super::super::envelope::Detail;
use super::super::messages::Call;
use super::super::model::{Family, Target};
use super::super::tool_ids;
use super::body::Routing;

/// The length of the ids that Mistral takes.
const MISTRALS: usize = 9;

/// The form of the ids of one request.
#[derive(Clone, Copy)]
pub(super) enum CallIds {
    /// Kimi's own, exactly as it wrote them: it calls no more tools when it reads others.
    Kimis,
    /// Nine letters and digits, as Mistral demands.
    Mistrals,
    /// The client's.
    Clients,
}

impl CallIds {
    /// Chooses the form. A model that the upstream may fall back to must be able to read it as well.
    pub(super) fn new(target: &Target, routing: &Routing<'_>) -> Self {
        let falls_back = target.dialect.extensions
            && routing
                .models
                .iter()
                .any(|model| Family::of(model) != target.family);
        match target.family {
            Family::Kimi if !falls_back => Self::Kimis,
            Family::Mistral => Self::Mistrals,
            _ => Self::Clients,
        }
    }

    /// Gives the id that goes upstream for a call's. Mistral refuses all but nine letters and digits, which its own ids
    /// have; those of other models and clients get a form that is the same in every turn.
    pub(super) fn sent<'i>(self, id: &'i str) -> Cow<'i, str> {
        match self {
            Self::Kimis => tool_ids::decode(id),
            Self::Mistrals => mistrals(id),
            Self::Clients => tool_ids::plain(id),
        }
    }
}

fn mistrals(id: &str) -> Cow<'_, str> {
    if id.len() == MISTRALS && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Cow::Borrowed(id);
    }
    let letters = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let hash = blake3::hash(id.as_bytes());
    let nine = hash.as_bytes().iter().take(MISTRALS);
    let form = nine.map(|&byte| char::from(letters[usize::from(byte) % letters.len()]));
    Cow::Owned(form.collect())
}

/// The calls of one turn by the ids that entries of its `reasoning_details` may name them by.
pub(super) struct NamedCalls<'c> {
    ids: CallIds,
    by_name: HashMap<Cow<'c, str>, &'c str>,
}

impl<'c> NamedCalls<'c> {
    pub(super) fn new(ids: CallIds, calls: &'c [Call<'_>]) -> Self {
        let mut by_name: HashMap<Cow<'c, str>, &'c str> = HashMap::with_capacity(calls.len());
        for call in calls {
            let id: &'c str = &call.id;
            by_name.insert(Cow::Borrowed(id), id);
        }
        // Older envelopes name a call by the upstream's id.
        for call in calls {
            let id: &'c str = &call.id;
            by_name.entry(tool_ids::decode(id)).or_insert(id);
        }
        Self { ids, by_name }
    }

    /// Gives the entry under the id with which its call goes out, when that is another than the entry's.
    pub(super) fn renamed(&self, detail: &Detail) -> Option<Detail> {
        let id = detail.id.as_deref()?;
        let sent = self.ids.sent(self.by_name.get(id)?);
        (sent != id).then(|| Detail {
            id: Some(sent.into_owned()),
            ..detail.clone()
        })
    }
}
