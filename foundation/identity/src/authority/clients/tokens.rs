//! What was given: the tokens that count at present, and their end.

use moongate_core::Problem;
use moongate_core::seam::records::Broken;
use oauth_as::store::{RevocationBarrier, RevocationWindow};
use oauth_as::{AuthorizationCodeRecord, DeviceGrantState, IssuedToken, RefreshTokenRecord};
use serde_json::{Value, json};

use super::super::Authority;
use super::super::consent::broken;
use super::super::rows::{CLIENT, CODE, DEVICE, REFRESH, Sheet, TOKEN, moment};
use super::super::storage::{ClientRow, DeviceRow, forget_family, raise};

/// Digits of a token's name: the beginning of its hash.
const DIGITS: usize = 16;

impl Authority {
    /// The access tokens that have not expired, at most `limit`.
    ///
    /// # Errors
    /// The store fails.
    pub async fn tokens(&self, limit: usize) -> Result<Vec<Value>, Problem> {
        let now = self.clock.now();
        let all = self.grants.look(move |sheet| {
            let mut all = Vec::new();
            sheet.every(TOKEN, |key, token: IssuedToken| {
                if moment(token.expires_at) > now {
                    all.push(view(key, &token));
                }
                Ok(all.len() < limit)
            })?;
            Ok(all)
        });
        all.await.map_err(broken)
    }

    /// Revokes a token by its name, with the whole grant that it comes from; whether there was one.
    ///
    /// # Errors
    /// The store fails.
    pub async fn revoke_token(&self, name: &str) -> Result<bool, Problem> {
        if name.len() < DIGITS {
            return Ok(false);
        }
        let (name, window) = (name.to_owned(), self.window());
        self.end(move |sheet| {
            let mut found = None;
            sheet.every(TOKEN, |key, token: IssuedToken| {
                if key.starts_with(&name) {
                    found = Some((key.to_owned(), token.family_id));
                }
                Ok(found.is_none())
            })?;
            match found {
                Some((key, family)) => forget(sheet, &key, family.as_deref(), window).map(|()| true),
                None => Ok(false),
            }
        })
        .await
    }

    /// Revokes all that speaks for a person, and what is under way: for when a person's account ends or is won back.
    ///
    /// # Errors
    /// The store fails.
    pub async fn forget_user(&self, user: &str) -> Result<u64, Problem> {
        let (user, window) = (user.to_owned(), self.window());
        self.end(move |sheet| {
            let (mut rows, mut families) = (Vec::new(), Vec::new());
            sheet.every(TOKEN, |key, row: IssuedToken| {
                if row.subject.as_ref() == Some(&user) {
                    rows.push((TOKEN, key.to_owned()));
                    families.extend(row.family_id);
                }
                Ok(true)
            })?;
            sheet.every(REFRESH, |key, row: RefreshTokenRecord| {
                if row.subject.as_ref() == Some(&user) {
                    rows.push((REFRESH, key.to_owned()));
                    families.push(row.family_id);
                }
                Ok(true)
            })?;
            sheet.every(CODE, |key, row: AuthorizationCodeRecord| {
                if row.subject == user {
                    rows.push((CODE, key.to_owned()));
                }
                Ok(true)
            })?;
            sheet.every(DEVICE, |key, row: DeviceRow| {
                if matches!(&row.grant.state, DeviceGrantState::Approved { subject } if *subject == user) {
                    rows.push((DEVICE, key.to_owned()));
                }
                Ok(true)
            })?;
            let mut clients = Vec::new();
            sheet.every(CLIENT, |_, row: ClientRow| {
                clients.push(row.client.client_id);
                Ok(true)
            })?;
            for client_id in clients {
                raise(sheet, &RevocationBarrier::Consent { client_id, subject: user.as_str().into() }, window)?;
            }
            families.sort_unstable();
            families.dedup();
            let count = rows.len() as u64;
            rows.iter().try_for_each(|(kind, key)| sheet.remove(kind, key).map(|_| ()))?;
            families.iter().try_for_each(|family| forget_family(sheet, family, window).map(|_| ()))?;
            Ok(count)
        })
        .await
    }

    /// A transaction after which tokens may be worth less.
    async fn end<T: Send + 'static>(
        &self,
        work: impl FnMut(&Sheet<'_>) -> Result<T, Broken> + Send + 'static,
    ) -> Result<T, Problem> {
        let done = self.grants.change(work).await.map_err(broken);
        self.epoch().rise();
        done
    }
}

fn forget(sheet: &Sheet<'_>, key: &str, family: Option<&str>, window: RevocationWindow) -> Result<(), Broken> {
    if let Some(family) = family {
        forget_family(sheet, family, window)?;
    }
    sheet.remove(TOKEN, key).map(|_| ())
}

fn view(key: &str, token: &IssuedToken) -> Value {
    json!({
        "id": key.get(..DIGITS),
        "client": token.client_id.as_str(),
        "user": token.subject,
        "scopes": token.scope.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "issued_at": moment(token.issued_at).0,
        "expires_at": moment(token.expires_at).0,
    })
}
