//! What a token of ours is worth at this moment, whatever was true when it was issued.

use std::time::SystemTime;

use moongate_core::seam::Later;
use moongate_core::{Problem, Scopes, Time};
use oauth_as::IssuedToken;

use super::Authority;
use super::consent::broken;
use super::rows::{CLIENT, TOKEN, hashed, moment};
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
    /// The program that holds it.
    pub client: String,
    /// The person for whom; a program that speaks for itself has none.
    pub user: Option<String>,
    /// What it may do now.
    pub scopes: Scopes,
}

impl Authority {
    /// What a token is worth that we have signed and that has not expired; `None` if it was revoked, or its client or its
    /// person is gone.
    ///
    /// # Errors
    /// The store fails.
    pub async fn standing(&self, token: &str) -> Result<Option<Standing>, Problem> {
        let key = hashed(token);
        let look = self.grants.look(move |sheet| {
            let Some(token) = sheet.read::<IssuedToken>(TOKEN, &key)? else { return Ok(None) };
            let client: Option<ClientRow> = sheet.read(CLIENT, token.client_id.as_str())?;
            Ok(client.filter(|row| !row.disabled).map(|row| (token, row.client)))
        });
        let Some((token, client)) = look.await.map_err(broken)? else { return Ok(None) };
        let mut scopes = Scopes::read(&token.scope.to_string())
            .meet(&Scopes::read(&client.allowed_scopes.to_string()))
            .meet(&self.state.load().terms.scopes);
        if let Some(user) = &token.subject {
            let Some(rights) = self.rights(user, token.grant_established_at).await? else { return Ok(None) };
            scopes = scopes.meet(&rights);
        }
        Ok(Some(Standing { client: client.client_id.to_string(), user: token.subject, scopes }))
    }

    /// What a person may do who allowed something at that moment; `None` if that person is not there any more.
    pub(super) async fn rights(&self, user: &str, allowed_at: SystemTime) -> Result<Option<Scopes>, Problem> {
        let Some(people) = self.people.get() else { return Ok(None) };
        let rights = people.rights(user).await?;
        Ok(rights.filter(|rights| rights.since <= moment(allowed_at)).map(|rights| rights.scopes))
    }
}
