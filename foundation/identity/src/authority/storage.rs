//! The protocol crate's storage, on the store's rows. Each of its calls is one transaction, so what it reads, judges and
//! writes is never split: a code, a device grant or a refresh token is taken by one caller only.
//!
//! Two things are added to what the crate keeps: a client's row says whether it is disabled, and a device grant's from which
//! address it was asked for. Whatever may end a token raises the [`Epoch`].

mod barrier;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use moongate_core::Scopes;
use moongate_core::seam::records::{self, Broken};
use moongate_core::seam::{Store, Vault};
use oauth_as::authorization::AuthorizationCodeState;
use oauth_as::device::normalize_user_code;
use oauth_as::mtls::CertificateThumbprint;
use oauth_as::store::{RevocationBarrier, RevocationWindow, Storage, StorageError, WriteOutcome};
use oauth_as::{
    AuthorizationCodeRecord, Client, ClientId, DeviceGrant, DeviceGrantState, IssuedToken, RefreshTokenRecord, Scope,
    ScopeSet,
};
use serde::{Deserialize, Serialize};

use crate::epoch::Epoch;

use super::exchange::{Exchange, put_exchanged, withheld};
use super::rows::{CLIENT, CODE, DEVICE, Entry, REFRESH, REPLAY, Sheet, TOKEN, hashed};
use barrier::is_revoked;
pub(super) use barrier::raise;

/// A client as it lies in the store.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct ClientRow {
    pub(super) client: Client,
    /// Nothing is given to it, and what it was given does not count, until it is enabled again.
    pub(super) disabled: bool,
    pub(super) made_at: SystemTime,
}

/// A device grant as it lies in the store.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct DeviceRow {
    pub(super) grant: DeviceGrant,
    /// Who asked for it.
    pub(super) remote: Option<IpAddr>,
}

/// What is known of the request that the crate is at work on and that it does not know itself.
#[derive(Clone, Default)]
pub(super) struct Asking {
    pub(super) remote: Option<IpAddr>,
    /// Scopes that the request or its refresh token names.
    pub(super) scopes: Vec<String>,
    /// The certificate that the request's client has proved itself by.
    pub(super) certificate: Option<CertificateThumbprint>,
    /// What a person gives the device that is approved.
    pub(super) granted: Option<ScopeSet>,
    /// The exchange of one token for another.
    pub(super) exchange: Option<Exchange>,
    /// Becomes true when a token was refused because its client holds too many.
    pub(super) full: Arc<AtomicBool>,
}

tokio::task_local! {
    /// The request at hand.
    pub(super) static ASKING: Asking;
}

/// Tokens for itself that a client may hold at once.
const HELD: usize = 1000;

/// The storage.
#[derive(Clone)]
pub struct Grants {
    store: Arc<dyn Store>,
    vault: Arc<dyn Vault>,
    epoch: Epoch,
}

impl Grants {
    /// Over this store, sealed by this vault.
    pub fn new(store: Arc<dyn Store>, vault: Arc<dyn Vault>) -> Self {
        Self { store, vault, epoch: Epoch::default() }
    }

    /// What rises when something ends.
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// One transaction.
    pub(super) async fn change<T: Send + 'static>(
        &self,
        mut work: impl FnMut(&Sheet<'_>) -> Result<T, Broken> + Send + 'static,
    ) -> Result<T, StorageError> {
        let vault = self.vault.clone();
        let done = records::change(self.store.records(), move |page| work(&Sheet::new(page, &vault))).await;
        done.map_err(|problem| StorageError::new(problem.to_string()))
    }

    /// One look.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        mut work: impl FnMut(&Sheet<'_>) -> Result<T, Broken> + Send + 'static,
    ) -> Result<T, StorageError> {
        let vault = self.vault.clone();
        let found = records::look(self.store.records(), move |page| work(&Sheet::new(page, &vault))).await;
        found.map_err(|problem| StorageError::new(problem.to_string()))
    }

    /// The same, after which tokens may be worth less than before.
    async fn end<T: Send + 'static>(
        &self,
        work: impl FnMut(&Sheet<'_>) -> Result<T, Broken> + Send + 'static,
    ) -> Result<T, StorageError> {
        let done = self.change(work).await;
        self.epoch.rise();
        done
    }
}

/// The crate compares scopes word by word, ours have stars: what a request names stands among a client's scopes if those that
/// it was given cover it.
fn widened(mut client: Client) -> Client {
    let asked = ASKING.try_with(|asking| asking.scopes.clone()).unwrap_or_default();
    let given = Scopes::read(&client.allowed_scopes.to_string());
    let covered =
        asked.into_iter().filter(|word| moongate_core::Scope::parse(word).is_some_and(|one| given.covers(&one)));
    let own: Vec<String> = client.allowed_scopes.iter().map(ToString::to_string).collect();
    if let Ok(scopes) = ScopeSet::from_tokens(own.into_iter().chain(covered)) {
        client.allowed_scopes = scopes;
    }
    client
}

fn put_client(sheet: &Sheet<'_>, row: &ClientRow) -> Result<(), Broken> {
    sheet.write(CLIENT, row.client.client_id.as_str(), Entry { value: row, group: None, until: None })
}

/// Keeps what the crate does not know of when it writes a client anew.
fn renewed(sheet: &Sheet<'_>, client: &Client) -> Result<ClientRow, Broken> {
    let known: Option<ClientRow> = sheet.read(CLIENT, client.client_id.as_str())?;
    let (disabled, made_at) = known.map_or((false, SystemTime::UNIX_EPOCH), |row| (row.disabled, row.made_at));
    Ok(ClientRow { client: client.clone(), disabled, made_at })
}

/// Writes a device grant; `false` if another one has its user code.
fn put_device(sheet: &Sheet<'_>, grant: &DeviceGrant, remote: Option<IpAddr>) -> Result<bool, Broken> {
    let (key, group) = (hashed(&grant.device_code), hashed(&normalize_user_code(&grant.user_code)));
    let others = sheet.group::<DeviceRow>(DEVICE, &group)?;
    if others.iter().any(|(other, _)| *other != key) {
        return Ok(false);
    }
    let value = &DeviceRow { grant: grant.clone(), remote };
    sheet.write(DEVICE, &key, Entry { value, group: Some(&group), until: Some(grant.expires_at) })?;
    Ok(true)
}

fn put_code(sheet: &Sheet<'_>, record: &AuthorizationCodeRecord) -> Result<(), Broken> {
    let mut value = record.clone();
    let key = hashed(&std::mem::take(&mut value.code));
    sheet.write(CODE, &key, Entry { value: &value, group: None, until: Some(record.expires_at) })
}

/// The exchange that the request at hand asks for.
fn exchange() -> Option<Exchange> {
    ASKING.try_with(|asking| asking.exchange.clone()).ok().flatten()
}

fn put_token(sheet: &Sheet<'_>, token: &IssuedToken) -> Result<(), Broken> {
    let mut value = token.clone();
    let key = hashed(&std::mem::take(&mut value.access_token));
    let group = token.family_id.clone().unwrap_or_else(|| own_tokens(&token.client_id));
    sheet.write(TOKEN, &key, Entry { value: &value, group: Some(&group), until: Some(token.expires_at) })
}

/// The group of the tokens that a client holds for itself; no family is called so.
fn own_tokens(id: &ClientId) -> String {
    format!("client {id}")
}

/// The certificate that the request at hand is proved by.
fn shown() -> Option<CertificateThumbprint> {
    ASKING.try_with(|asking| asking.certificate).ok().flatten()
}

fn put_refresh(sheet: &Sheet<'_>, record: &RefreshTokenRecord) -> Result<(), Broken> {
    let mut value = record.clone();
    let key = hashed(&std::mem::take(&mut value.refresh_token));
    sheet.write(REFRESH, &key, Entry { value: &value, group: Some(&record.family_id), until: record.expires_at })
}

/// A refresh token's record; of a client that has proved itself by a certificate, bound to that one from now on.
fn refresh(
    sheet: &Sheet<'_>,
    token: &str,
    shown: Option<CertificateThumbprint>,
) -> Result<Option<RefreshTokenRecord>, Broken> {
    let found: Option<RefreshTokenRecord> = sheet.read(REFRESH, &hashed(token))?;
    Ok(found.map(|mut record| {
        token.clone_into(&mut record.refresh_token);
        if let (Some(bound), Some(shown)) = (record.x5t_s256.as_deref_mut(), shown) {
            *bound = shown;
        }
        record
    }))
}

fn clashing() -> StorageError {
    StorageError::new("another device grant has this user code")
}

/// A barrier must say what it is for.
fn named(what: &str, value: &str) -> Result<(), StorageError> {
    if value.is_empty() { Err(StorageError::new(format!("nothing is revoked without a {what}"))) } else { Ok(()) }
}

/// Removes all that a client was given; whether there was such a client.
pub(super) fn forget_client(sheet: &Sheet<'_>, id: &ClientId, window: RevocationWindow) -> Result<bool, Broken> {
    raise(sheet, &RevocationBarrier::Client(id.clone()), window)?;
    let mut gone: Vec<(&str, String)> = Vec::new();
    let mut note = |kind, key: &str, client: &ClientId| {
        if client == id {
            gone.push((kind, key.to_owned()));
        }
        Ok(true)
    };
    sheet.every(TOKEN, |key, row: IssuedToken| note(TOKEN, key, &row.client_id))?;
    sheet.every(REFRESH, |key, row: RefreshTokenRecord| note(REFRESH, key, &row.client_id))?;
    sheet.every(CODE, |key, row: AuthorizationCodeRecord| note(CODE, key, &row.client_id))?;
    sheet.every(DEVICE, |key, row: DeviceRow| note(DEVICE, key, &row.grant.client_id))?;
    for (kind, key) in gone {
        sheet.remove(kind, &key)?;
    }
    sheet.remove(CLIENT, id.as_str())
}

/// Removes the tokens of a family; how many.
pub(super) fn forget_family(sheet: &Sheet<'_>, family: &str, window: RevocationWindow) -> Result<u64, Broken> {
    raise(sheet, &RevocationBarrier::TokenFamily(family.into()), window)?;
    Ok(sheet.clear(TOKEN, family)? + sheet.clear(REFRESH, family)?)
}

impl Storage for Grants {
    async fn get_client(&self, client_id: &ClientId) -> Result<Option<Arc<Client>>, StorageError> {
        let id = client_id.clone();
        let row: Option<ClientRow> = self.look(move |sheet| sheet.read(CLIENT, id.as_str())).await?;
        let exchange = exchange();
        Ok(row.filter(|row| !row.disabled).map(|row| {
            let mut client = widened(row.client);
            match exchange {
                Some(exchange) => exchange.settle(&mut client),
                None => withheld(&mut client),
            }
            Arc::new(client)
        }))
    }

    async fn put_client(&self, client: Client) -> Result<(), StorageError> {
        self.end(move |sheet| put_client(sheet, &renewed(sheet, &client)?)).await
    }

    async fn compare_and_swap_client(&self, expected: &Client, updated: Client) -> Result<bool, StorageError> {
        let expected = expected.clone();
        self.end(move |sheet| {
            let current: Option<ClientRow> = sheet.read(CLIENT, updated.client_id.as_str())?;
            let same = current.is_some_and(|row| row.client == expected);
            if same {
                put_client(sheet, &renewed(sheet, &updated)?)?;
            }
            Ok(same)
        })
        .await
    }

    async fn delete_client(&self, client_id: &ClientId, window: RevocationWindow) -> Result<bool, StorageError> {
        named("client_id", client_id.as_str())?;
        let id = client_id.clone();
        self.end(move |sheet| forget_client(sheet, &id, window)).await
    }

    async fn put_device_grant(&self, grant: DeviceGrant) -> Result<(), StorageError> {
        let remote = ASKING.try_with(|asking| asking.remote).ok().flatten();
        let put = self.change(move |sheet| put_device(sheet, &grant, remote)).await?;
        if put { Ok(()) } else { Err(clashing()) }
    }

    async fn get_device_grant(&self, device_code: &str) -> Result<Option<DeviceGrant>, StorageError> {
        let key = hashed(device_code);
        let row: Option<DeviceRow> = self.look(move |sheet| sheet.read(DEVICE, &key)).await?;
        Ok(row.map(|row| row.grant))
    }

    async fn find_device_grant_by_user_code(&self, code: &str) -> Result<Option<DeviceGrant>, StorageError> {
        Ok(self.device_row(code).await?.map(|row| row.grant))
    }

    async fn take_device_grant(&self, device_code: &str) -> Result<Option<DeviceGrant>, StorageError> {
        let key = hashed(device_code);
        let taken = self.change(move |sheet| {
            let row: Option<DeviceRow> = sheet.read(DEVICE, &key)?;
            sheet.remove(DEVICE, &key)?;
            Ok(row)
        });
        Ok(taken.await?.map(|row| row.grant))
    }

    async fn compare_and_swap_device_grant(
        &self,
        expected: &DeviceGrantState,
        mut updated: DeviceGrant,
    ) -> Result<bool, StorageError> {
        let granted = ASKING.try_with(|asking| asking.granted.clone()).ok().flatten();
        if let (Some(granted), DeviceGrantState::Approved { .. }) = (granted, &updated.state) {
            updated.scope = granted;
        }
        let expected = expected.clone();
        let swapped = self.change(move |sheet| {
            let row: Option<DeviceRow> = sheet.read(DEVICE, &hashed(&updated.device_code))?;
            match row.filter(|row| row.grant.state == expected) {
                Some(row) => Ok(put_device(sheet, &updated, row.remote)?.then_some(true)),
                None => Ok(Some(false)),
            }
        });
        swapped.await?.ok_or_else(clashing)
    }

    async fn put_authorization_code(&self, record: AuthorizationCodeRecord) -> Result<(), StorageError> {
        self.change(move |sheet| put_code(sheet, &record)).await
    }

    async fn compare_and_swap_authorization_code(
        &self,
        expected: &AuthorizationCodeState,
        updated: AuthorizationCodeRecord,
    ) -> Result<bool, StorageError> {
        let expected = expected.clone();
        let swapped = self.change(move |sheet| {
            let current: Option<AuthorizationCodeRecord> = sheet.read(CODE, &hashed(&updated.code))?;
            let same = current.is_some_and(|current| current.state == expected);
            if same {
                put_code(sheet, &updated)?;
            }
            Ok(same)
        });
        swapped.await
    }

    async fn take_authorization_code(&self, code: &str) -> Result<Option<AuthorizationCodeRecord>, StorageError> {
        let (code, key) = (code.to_owned(), hashed(code));
        let taken = self.change(move |sheet| {
            let record: Option<AuthorizationCodeRecord> = sheet.read(CODE, &key)?;
            sheet.remove(CODE, &key)?;
            Ok(record)
        });
        Ok(taken.await?.map(|mut record| {
            record.code = code;
            record
        }))
    }

    async fn put_token(&self, token: IssuedToken) -> Result<WriteOutcome, StorageError> {
        let exchange = exchange();
        let put = self.change(move |sheet| {
            let (family, subject) = (token.family_id.as_deref(), token.subject.as_deref());
            if is_revoked(sheet, &token.client_id, family, subject, token.grant_established_at)? {
                return Ok(Some(WriteOutcome::RefusedRevoked));
            }
            if let Some(exchange) = &exchange {
                return Ok(match put_exchanged(sheet, &token, exchange.from())? {
                    Some(true) => Some(WriteOutcome::Applied),
                    Some(false) => None,
                    None => Some(WriteOutcome::RefusedRevoked),
                });
            }
            if family.is_none() && sheet.live(TOKEN, &own_tokens(&token.client_id), token.issued_at)? >= HELD {
                return Ok(None);
            }
            put_token(sheet, &token)?;
            Ok(Some(WriteOutcome::Applied))
        });
        Ok(put.await?.unwrap_or_else(|| {
            let _ = ASKING.try_with(|asking| asking.full.store(true, Ordering::Release));
            WriteOutcome::RefusedRevoked
        }))
    }

    async fn get_token(&self, access_token: &str) -> Result<Option<Arc<IssuedToken>>, StorageError> {
        let (text, key) = (access_token.to_owned(), hashed(access_token));
        let found: Option<IssuedToken> = self.look(move |sheet| sheet.read(TOKEN, &key)).await?;
        let found = match exchange() {
            Some(exchange) => exchange.shown(access_token, found),
            None => found,
        };
        Ok(found.map(|mut token| {
            token.access_token = text;
            Arc::new(token)
        }))
    }

    async fn delete_token(&self, access_token: &str) -> Result<(), StorageError> {
        let key = hashed(access_token);
        self.end(move |sheet| sheet.remove(TOKEN, &key).map(|_| ())).await
    }

    async fn put_refresh_token(&self, record: RefreshTokenRecord) -> Result<WriteOutcome, StorageError> {
        let put = self.change(move |sheet| {
            let (family, subject) = (Some(record.family_id.as_str()), record.subject.as_deref());
            if is_revoked(sheet, &record.client_id, family, subject, record.grant_established_at)? {
                return Ok(WriteOutcome::RefusedRevoked);
            }
            put_refresh(sheet, &record)?;
            Ok(WriteOutcome::Applied)
        });
        put.await
    }

    async fn get_refresh_token(&self, refresh_token: &str) -> Result<Option<Arc<RefreshTokenRecord>>, StorageError> {
        let (token, shown) = (refresh_token.to_owned(), shown());
        Ok(self.look(move |sheet| refresh(sheet, &token, shown)).await?.map(Arc::new))
    }

    async fn rotate_refresh_token(
        &self,
        expected: &RefreshTokenRecord,
        spent: &RefreshTokenRecord,
        access: &IssuedToken,
        next: Option<&RefreshTokenRecord>,
    ) -> Result<bool, StorageError> {
        let (expected, spent, access, next) = (expected.clone(), spent.clone(), access.clone(), next.cloned());
        let shown = shown();
        let rotated = self.change(move |sheet| {
            let (family, subject) = (Some(expected.family_id.as_str()), expected.subject.as_deref());
            if refresh(sheet, &expected.refresh_token, shown)?.as_ref() != Some(&expected)
                || is_revoked(sheet, &expected.client_id, family, subject, expected.grant_established_at)?
            {
                return Ok(false);
            }
            put_refresh(sheet, &spent)?;
            put_token(sheet, &access)?;
            next.iter().try_for_each(|next| put_refresh(sheet, next))?;
            Ok(true)
        });
        rotated.await
    }

    async fn take_refresh_token(&self, refresh_token: &str) -> Result<Option<RefreshTokenRecord>, StorageError> {
        let (token, shown) = (refresh_token.to_owned(), shown());
        let taken = self.change(move |sheet| {
            let record = refresh(sheet, &token, shown)?;
            sheet.remove(REFRESH, &hashed(&token))?;
            Ok(record)
        });
        taken.await
    }

    async fn revoke_token_family(&self, family_id: &str, window: RevocationWindow) -> Result<u64, StorageError> {
        named("family_id", family_id)?;
        let family = family_id.to_owned();
        self.end(move |sheet| forget_family(sheet, &family, window)).await
    }

    async fn claim_replay_id(&self, id: &str, expires_at: SystemTime) -> Result<bool, StorageError> {
        let key = hashed(id);
        let claimed = self.change(move |sheet| {
            let first = !sheet.has(REPLAY, &key)?;
            if first {
                sheet.write(REPLAY, &key, Entry { value: &(), group: None, until: Some(expires_at) })?;
            }
            Ok(first)
        });
        claimed.await
    }

    async fn sweep_expired(&self, now: SystemTime) -> Result<u64, StorageError> {
        self.change(move |sheet| sheet.sweep(now)).await
    }
}

impl Grants {
    /// The device grant of a user code in its plain form, with who asked for it.
    pub(super) async fn device_row(&self, user_code: &str) -> Result<Option<DeviceRow>, StorageError> {
        let group = hashed(user_code);
        let rows: Vec<(String, DeviceRow)> = self.look(move |sheet| sheet.group(DEVICE, &group)).await?;
        Ok(rows.into_iter().next().map(|(_, row)| row))
    }

    /// The words of a refresh token's scopes.
    pub(super) async fn refresh_scopes(&self, token: &str) -> Vec<String> {
        let found = self.get_refresh_token(token).await.ok().flatten();
        found.map(|record| record.scope.iter().map(Scope::to_string).collect()).unwrap_or_default()
    }
}
