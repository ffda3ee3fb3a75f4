//! What a token of ours is worth at this moment, whatever was true when it was issued.

use std::time::SystemTime;

use moongate_core::seam::Later;
use moongate_core::seam::records::Broken;
use moongate_core::{Problem, Scopes, Time};
use oauth_as::IssuedToken;

use super::Authority;
use super::consent::broken;
use super::exchange::{Descent, MOST_ACTORS};
use super::rows::{CLIENT, Sheet, TOKEN, hashed, moment};
use super::storage::ClientRow;

/// What a person may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    /// At most this.
    pub scopes: Scopes,
    /// Since when there is this person: what an earlier one of the same name allowed is not theirs.
    pub since: Time,
}

/// Knows the people that tokens speak for.
pub trait People: Send + Sync {
    /// A person's rights; `None` if nobody is called so, or not any more.
    fn rights<'a>(&'a self, user: &'a str) -> Later<'a, Result<Option<Rights>, Problem>>;
}

/// Who a token speaks for, and what it is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The program that holds it; of one that was exchanged, the program that held the first.
    pub client: String,
    /// The person for whom; a program that speaks for itself has none.
    pub user: Option<String>,
    /// What it may do now.
    pub scopes: Scopes,
    /// How many act for one another: so often was it exchanged.
    pub actors: usize,
}

/// A token and those that it was exchanged for, back to the first.
struct Line {
    first: IssuedToken,
    /// What all of them, and all who hold them, have in common.
    scopes: Scopes,
    length: usize,
}

/// Nothing if one of them is gone, or who holds it.
fn line(sheet: &Sheet<'_>, mut key: String, most: &Scopes) -> Result<Option<Line>, Broken> {
    let mut scopes = most.clone();
    for length in 0..=MOST_ACTORS {
        let Some(token) = sheet.read::<IssuedToken>(TOKEN, &key)? else { return Ok(None) };
        let client: Option<ClientRow> = sheet.read(CLIENT, token.client_id.as_str())?;
        let Some(client) = client.filter(|row| !row.disabled) else { return Ok(None) };
        let own = Scopes::read(&token.scope.to_string());
        scopes = scopes.meet(&own).meet(&Scopes::read(&client.client.allowed_scopes.to_string()));
        match sheet.read::<Descent>(TOKEN, &key)?.and_then(|descent| descent.from) {
            None => return Ok(Some(Line { first: token, scopes, length })),
            Some(from) => key = from,
        }
    }
    Ok(None)
}

impl Authority {
    /// What a token is worth that we have signed and that has not expired; `None` if it was revoked, or its client or its
    /// person is gone, or any token that it was exchanged for.
    ///
    /// # Errors
    /// The store fails.
    pub async fn standing(&self, token: &str) -> Result<Option<Standing>, Problem> {
        let (key, most) = (hashed(token), self.state.load().terms.scopes.clone());
        let look = self.grants.look(move |sheet| line(sheet, key.clone(), &most));
        let Some(Line { first, mut scopes, length }) = look.await.map_err(broken)? else { return Ok(None) };
        if let Some(user) = &first.subject {
            let Some(rights) = self.rights(user, first.grant_established_at).await? else { return Ok(None) };
            scopes = scopes.meet(&rights);
        }
        Ok(Some(Standing { client: first.client_id.to_string(), user: first.subject, scopes, actors: length }))
    }

    /// Whether a caller of ours, `NAME/CLIENT` or `NAME:USER`, is one still; `None` if it is none of ours.
    ///
    /// # Errors
    /// The store fails.
    pub async fn knows(&self, who: &str) -> Result<Option<bool>, Problem> {
        let Some(rest) = who.strip_prefix(&*self.name) else { return Ok(None) };
        if let Some(client) = rest.strip_prefix('/') {
            let key = client.to_owned();
            let row: Option<ClientRow> =
                self.grants.look(move |sheet| sheet.read(CLIENT, &key)).await.map_err(broken)?;
            return Ok(Some(row.is_some_and(|row| !row.disabled)));
        }
        match (rest.strip_prefix(':'), self.people.get()) {
            (Some(user), Some(people)) => Ok(Some(people.rights(user).await?.is_some())),
            (Some(_), None) => Ok(Some(false)),
            (None, _) => Ok(None),
        }
    }

    /// What a person may do who allowed something at that moment; `None` if that person is not there any more.
    pub(super) async fn rights(&self, user: &str, allowed_at: SystemTime) -> Result<Option<Scopes>, Problem> {
        let Some(people) = self.people.get() else { return Ok(None) };
        let rights = people.rights(user).await?;
        Ok(rights.filter(|rights| rights.since <= moment(allowed_at)).map(|rights| rights.scopes))
    }
}
