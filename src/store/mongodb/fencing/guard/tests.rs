use proptest::{collection::btree_map, prelude::*, sample::select};

use super::*;
use crate::store::fixtures::lease;

fn guard() -> TokenGuard {
    TokenGuard::new(&lease("a", 3))
}

#[test]
fn a_filter_is_kept_whole_beside_the_guard() {
    let filter = doc! { "_id": 7, "$or": [{ "a": 1 }, { "fencing_token": 9 }] };
    let expected = doc! { "$and": [
        filter.clone(),
        { "$or": [{ "fencing_token": null }, { "fencing_token": { "$lte": 3_i64 } }] },
    ] };
    assert_eq!(guard().only(&filter, 3), expected);
}

#[test]
fn a_pipeline_ends_with_the_token() {
    let stages = vec![doc! { "$unset": "fencing_token" }];
    let UpdateModifications::Pipeline(stages) = guard().with(stages.into(), 3) else {
        panic!("no pipeline");
    };
    let last = doc! { "$set": { "fencing_token": 3_i64 } };
    assert_eq!(stages, [doc! { "$unset": "fencing_token" }, last]);
}

#[test]
fn a_path_is_followed_into_documents_only() {
    let document = doc! { "a": { "b": 1 }, "c": [{ "b": 1 }] };
    assert_eq!(value(&document, "a.b"), Some(&Bson::Int32(1)));
    for path in ["a.c", "c.b", "a.b.c", "d", ""] {
        assert_eq!(value(&document, path), None, "{path:?}");
    }
}

fn fields() -> impl Strategy<Value = Document> {
    let name = prop_oneof![Just("fencing_token".to_owned()), "[a-z]{1,3}"];
    btree_map(name, any::<i32>(), 0..4).prop_map(|fields| {
        let fields = fields.into_iter();
        fields.map(|(name, value)| (name, value.into())).collect()
    })
}

proptest! {
    /// Of all that an update says, only the token in `$set` is ours.
    #[test]
    fn an_update_keeps_all_that_it_says(
        update in btree_map(select(&["$set", "$inc", "$unset", "$push", "$setOnInsert"][..]), fields(), 0..5),
    ) {
        let update: Document = update.into_iter().map(|(name, fields)| (name.to_owned(), fields.into())).collect();
        let UpdateModifications::Document(mut merged) = guard().with(update.clone().into(), 3) else {
            panic!("no document");
        };
        let set = merged.get_document_mut("$set").unwrap();
        prop_assert_eq!(set.remove("fencing_token"), Some(Bson::Int64(3)));
        let mut expected = update;
        if let Ok(set) = expected.get_document_mut("$set") {
            set.remove("fencing_token");
        } else {
            prop_assert_eq!(merged.remove("$set"), Some(Bson::Document(doc! {})));
        }
        prop_assert_eq!(merged, expected);
    }
}
