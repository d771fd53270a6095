//! Fenced writes: token guards, which compare tokens in a document of the application.

use mongodb::{
    Collection,
    bson::{Bson, Document, doc},
    error::{Error, ErrorKind, WriteFailure},
    options::{ReturnDocument, UpdateModifications},
    results::UpdateResult,
};
use serde::de::DeserializeOwned;

use super::super::{
    failure::is_duplicate_key,
    requests::{majority, primary},
};
use crate::store::fencing::{FencingError, TokenGuard};

type FencingResult<T> = Result<T, FencingError<Error>>;

/// # MongoDB
///
/// One request: the guard is added to your filter, and the token to your update (operators or a pipeline). If
/// the write is rejected, one `find` more reads the newer token. Writes ask for `{ w: "majority", j: true }`,
/// whatever the collection's defaults, because otherwise a failover could take a newer token back.
///
/// The filter must fit **one** document, best by `_id`: if it fits several, each has its own token. The field
/// may be a path (`meta.token`). Least privileges: `find` and `update` on the collection, and `insert` to
/// upsert.
impl TokenGuard {
    /// Updates the document if it has no newer token.
    ///
    /// # Errors
    /// - [`FencingError::Rejected`]: the document has a newer token.
    /// - [`FencingError::NotFound`]: the filter fits no document.
    /// - [`FencingError::Unguardable`]: the field holds no integer.
    /// - [`FencingError::Failed`]: the driver's error.
    ///
    /// # Cancel safety
    /// A dropped call may or may not have been applied.
    ///
    /// # Examples
    /// ```no_run
    /// # use mongodb::{Collection, bson::{Document, doc}};
    /// # use tenure::{Leadership, fencing::TokenGuard};
    /// # async fn example(accounts: Collection<Document>, leadership: Leadership) -> Result<(), Box<dyn std::error::Error>> {
    /// let guard = TokenGuard::new(leadership.lease());
    /// guard.update_one(&accounts, doc! { "_id": 7 }, doc! { "$inc": { "cents": 100 } }).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn update_one<T: Send + Sync>(
        &self,
        collection: &Collection<T>,
        filter: Document,
        update: impl Into<UpdateModifications>,
    ) -> FencingResult<UpdateResult> {
        let token = self.signed()?;
        let request = collection
            .update_one(self.only(&filter, token), self.with(update.into(), token))
            .write_concern(majority());
        let done = request.await.map_err(FencingError::Failed)?;
        match done.matched_count {
            0 => Err(self.look(collection, filter).await?.into()),
            _ => Ok(done),
        }
    }

    /// Updates the document if it has no newer token, and creates it if it is missing.
    ///
    /// # Errors
    /// As [`update_one`](Self::update_one). [`FencingError::Unguardable`] also means that the filter does not name
    /// one `_id`: a stale write with it would create a second document instead of being rejected.
    ///
    /// # Cancel safety
    /// A dropped call may or may not have been applied.
    pub async fn upsert_one<T: Send + Sync>(
        &self,
        collection: &Collection<T>,
        filter: Document,
        update: impl Into<UpdateModifications>,
    ) -> FencingResult<UpdateResult> {
        /// Another try is needed only if another upsert with an older token wins the race.
        const TRIES: usize = 3;
        let token = self.signed()?;
        if !names_one(&filter) {
            let message = "an upsert needs one `_id` in its filter, given by its value and not by an \
                           operator, because otherwise it could create a second document";
            return Err(FencingError::Unguardable(message.to_owned()));
        }
        let update = self.with(update.into(), token);
        let mut tries = 1;
        loop {
            let request = collection
                .update_one(self.only(&filter, token), update.clone())
                .upsert(true)
                .write_concern(majority());
            let error = match request.await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            // The guard did not fit the existing document, so the server tried to insert another.
            if !is_duplicate(&error) {
                return Err(FencingError::Failed(error));
            }
            match self.look(collection, filter.clone()).await? {
                NotWritten::Nothing if tries < TRIES => tries += 1,
                NotWritten::Nothing => return Err(FencingError::Failed(error)),
                seen => return Err(seen.into()),
            }
        }
    }

    /// Updates the document if it has no newer token, and returns the updated document.
    ///
    /// # Errors
    /// As [`update_one`](Self::update_one).
    ///
    /// # Cancel safety
    /// A dropped call may or may not have been applied.
    pub async fn find_one_and_update<T: DeserializeOwned + Send + Sync>(
        &self,
        collection: &Collection<T>,
        filter: Document,
        update: impl Into<UpdateModifications>,
    ) -> FencingResult<T> {
        let token = self.signed()?;
        let request = collection
            .find_one_and_update(self.only(&filter, token), self.with(update.into(), token))
            .return_document(ReturnDocument::After)
            .write_concern(majority());
        match request.await.map_err(FencingError::Failed)? {
            Some(found) => Ok(found),
            None => Err(self.look(collection, filter).await?.into()),
        }
    }

    /// The filter, restricted to documents without a newer token. An upsert copies fields from the parts of an
    /// `$and` into the new document, but not from those of an `$or`.
    fn only(&self, filter: &Document, token: i64) -> Document {
        let field = &self.field;
        let none = doc! { field: Bson::Null };
        let older = doc! { field: { "$lte": token } };
        doc! { "$and": [filter.clone(), { "$or": [none, older] }] }
    }

    /// The update, extended by the token. If the update writes the field, too, the server refuses it as a
    /// conflict, or the token is written last.
    fn with(&self, update: UpdateModifications, token: i64) -> UpdateModifications {
        match update {
            UpdateModifications::Document(mut update) => {
                match update.get_mut("$set") {
                    Some(Bson::Document(set)) => {
                        set.insert(&self.field, token);
                    }
                    // The server's error says what is wrong.
                    Some(_) => {}
                    None => {
                        update.insert("$set", doc! { &self.field: token });
                    }
                }
                UpdateModifications::Document(update)
            }
            UpdateModifications::Pipeline(mut stages) => {
                stages.push(doc! { "$set": { &self.field: token } });
                UpdateModifications::Pipeline(stages)
            }
            // The enum has no other variants today.
            update => update,
        }
    }

    /// Why nothing was written.
    async fn look<T: Send + Sync>(
        &self,
        collection: &Collection<T>,
        filter: Document,
    ) -> FencingResult<NotWritten> {
        let collection = collection.clone_with_type::<Document>();
        let request = collection
            .find_one(filter)
            .sort(doc! { &self.field: -1 })
            .projection(doc! { &self.field: 1 })
            .selection_criteria(primary());
        let Some(found) = request.await.map_err(FencingError::Failed)? else {
            return Ok(NotWritten::Nothing);
        };
        let token = match value(&found, &self.field) {
            None | Some(Bson::Null) => return Ok(NotWritten::Nothing),
            Some(Bson::Int64(token)) => u64::try_from(*token).ok(),
            Some(Bson::Int32(token)) => u64::try_from(*token).ok(),
            Some(_) => None,
        };
        let Some(token) = token else {
            let message = format!(
                "the field `{}` holds no token: set it to an integer or remove it",
                self.field
            );
            return Ok(NotWritten::Other(FencingError::Unguardable(message)));
        };
        // A token that is not newer: another write has just created the document.
        let rejected = self.refused_by(token).map(FencingError::Rejected);
        Ok(rejected.map_or(NotWritten::Nothing, NotWritten::Other))
    }
}

/// Why no document could be written.
enum NotWritten {
    Nothing,
    Other(FencingError<Error>),
}

impl From<NotWritten> for FencingError<Error> {
    fn from(seen: NotWritten) -> Self {
        match seen {
            NotWritten::Nothing => Self::NotFound,
            NotWritten::Other(error) => error,
        }
    }
}

fn value<'a>(document: &'a Document, path: &str) -> Option<&'a Bson> {
    match path.split_once('.') {
        None => document.get(path),
        Some((first, rest)) => value(document.get_document(first).ok()?, rest),
    }
}

/// Whether a filter fits only one `_id`, so that a second document with it would be a duplicate.
fn names_one(filter: &Document) -> bool {
    match filter.get("_id") {
        None | Some(Bson::RegularExpression(_)) => false,
        Some(Bson::Document(id)) => id.keys().all(|key| key == "$eq" || !key.starts_with('$')),
        Some(_) => true,
    }
}

fn is_duplicate(error: &Error) -> bool {
    const DUPLICATE_KEY: i32 = 11000;
    match &*error.kind {
        ErrorKind::Write(WriteFailure::WriteError(refused)) => refused.code == DUPLICATE_KEY,
        _ => is_duplicate_key(error),
    }
}

#[cfg(test)]
mod tests;
