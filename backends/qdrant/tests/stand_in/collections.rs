//! The service about collections and aliases.

use std::sync::Arc;

use ::qdrant_client::qdrant::collections_server::Collections;
use ::qdrant_client::qdrant::*;
use tonic::{Request, Response};

use super::journal::Change;
use super::state::Store;
use super::{Answer, without_answer};

/// The service.
pub(crate) struct Service(pub(crate) Arc<Store>);

impl Service {
    fn change(&self, change: &Change) -> Answer<CollectionOperationResponse> {
        let result = self.0.change(change)?;
        Ok(Response::new(CollectionOperationResponse { result, time: 0.0 }))
    }
}

#[tonic::async_trait]
impl Collections for Service {
    async fn get(&self, request: Request<GetCollectionInfoRequest>) -> Answer<GetCollectionInfoResponse> {
        let info = self.0.read().get(&request.get_ref().collection_name)?.info();
        Ok(Response::new(GetCollectionInfoResponse {
            result: Some(info),
            time: 0.0,
        }))
    }

    async fn list(&self, _: Request<ListCollectionsRequest>) -> Answer<ListCollectionsResponse> {
        let state = self.0.read();
        let names = state.collections.keys().cloned();
        Ok(Response::new(ListCollectionsResponse {
            collections: names.map(|name| CollectionDescription { name }).collect(),
            time: 0.0,
        }))
    }

    async fn create(&self, request: Request<CreateCollection>) -> Answer<CollectionOperationResponse> {
        self.change(&Change::CreateCollection(Box::new(request.into_inner())))
    }

    async fn delete(&self, request: Request<DeleteCollection>) -> Answer<CollectionOperationResponse> {
        self.change(&Change::DeleteCollection(request.into_inner()))
    }

    async fn update_aliases(&self, request: Request<ChangeAliases>) -> Answer<CollectionOperationResponse> {
        self.change(&Change::Aliases(request.into_inner()))
    }

    async fn list_aliases(&self, _: Request<ListAliasesRequest>) -> Answer<ListAliasesResponse> {
        let state = self.0.read();
        let aliases = state.aliases.iter();
        Ok(Response::new(ListAliasesResponse {
            aliases: aliases
                .map(|(alias_name, collection_name)| AliasDescription {
                    alias_name: alias_name.clone(),
                    collection_name: collection_name.clone(),
                })
                .collect(),
            time: 0.0,
        }))
    }

    async fn collection_exists(
        &self,
        request: Request<CollectionExistsRequest>,
    ) -> Answer<CollectionExistsResponse> {
        let exists = self.0.read().get(&request.get_ref().collection_name).is_ok();
        Ok(Response::new(CollectionExistsResponse {
            result: Some(CollectionExists { exists }),
            time: 0.0,
        }))
    }

    without_answer! {
        update(UpdateCollection) -> CollectionOperationResponse;
        list_collection_aliases(ListCollectionAliasesRequest) -> ListAliasesResponse;
        collection_cluster_info(CollectionClusterInfoRequest) -> CollectionClusterInfoResponse;
        update_collection_cluster_setup(UpdateCollectionClusterSetupRequest)
            -> UpdateCollectionClusterSetupResponse;
        create_shard_key(CreateShardKeyRequest) -> CreateShardKeyResponse;
        delete_shard_key(DeleteShardKeyRequest) -> DeleteShardKeyResponse;
        list_shard_keys(ListShardKeysRequest) -> ListShardKeysResponse;
    }
}
