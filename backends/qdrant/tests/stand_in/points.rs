//! The service about points.

use std::sync::Arc;

use ::qdrant_client::qdrant::points_server::Points;
use ::qdrant_client::qdrant::*;
use tonic::{Request, Response};

use super::journal::Change;
use super::state::Store;
use super::{Answer, without_answer};

/// The service.
pub(crate) struct Service(pub(crate) Arc<Store>);

impl Service {
    fn change(&self, change: &Change, wait: Option<bool>) -> Answer<PointsOperationResponse> {
        self.0.change(change)?;
        let status = if wait == Some(true) {
            UpdateStatus::Completed
        } else {
            UpdateStatus::Acknowledged
        };
        Ok(Response::new(PointsOperationResponse {
            result: Some(UpdateResult {
                operation_id: None,
                status: status.into(),
            }),
            time: 0.0,
            usage: None,
        }))
    }
}

#[tonic::async_trait]
impl Points for Service {
    async fn upsert(&self, request: Request<UpsertPoints>) -> Answer<PointsOperationResponse> {
        let wait = request.get_ref().wait;
        self.change(&Change::Upsert(request.into_inner()), wait)
    }

    async fn delete(&self, request: Request<DeletePoints>) -> Answer<PointsOperationResponse> {
        let wait = request.get_ref().wait;
        self.change(&Change::Delete(request.into_inner()), wait)
    }

    async fn create_field_index(
        &self,
        request: Request<CreateFieldIndexCollection>,
    ) -> Answer<PointsOperationResponse> {
        let wait = request.get_ref().wait;
        self.change(&Change::CreateIndex(request.into_inner()), wait)
    }

    async fn get(&self, request: Request<GetPoints>) -> Answer<GetResponse> {
        let request = request.into_inner();
        let result = self.0.read().get(&request.collection_name)?.retrieve(&request)?;
        Ok(Response::new(GetResponse {
            result,
            time: 0.0,
            usage: None,
        }))
    }

    async fn scroll(&self, request: Request<ScrollPoints>) -> Answer<ScrollResponse> {
        let request = request.into_inner();
        let (result, next) = self.0.read().get(&request.collection_name)?.scroll(&request)?;
        Ok(Response::new(ScrollResponse {
            next_page_offset: next,
            result,
            time: 0.0,
            usage: None,
        }))
    }

    async fn count(&self, request: Request<CountPoints>) -> Answer<CountResponse> {
        let request = request.into_inner();
        let count = self.0.read().get(&request.collection_name)?.count(&request)?;
        Ok(Response::new(CountResponse {
            result: Some(CountResult { count }),
            time: 0.0,
            usage: None,
        }))
    }

    async fn query(&self, request: Request<QueryPoints>) -> Answer<QueryResponse> {
        let request = request.into_inner();
        let result = self.0.read().get(&request.collection_name)?.query(&request)?;
        Ok(Response::new(QueryResponse {
            result,
            time: 0.0,
            usage: None,
        }))
    }

    without_answer! {
        update_vectors(UpdatePointVectors) -> PointsOperationResponse;
        delete_vectors(DeletePointVectors) -> PointsOperationResponse;
        set_payload(SetPayloadPoints) -> PointsOperationResponse;
        overwrite_payload(SetPayloadPoints) -> PointsOperationResponse;
        delete_payload(DeletePayloadPoints) -> PointsOperationResponse;
        clear_payload(ClearPayloadPoints) -> PointsOperationResponse;
        delete_field_index(DeleteFieldIndexCollection) -> PointsOperationResponse;
        create_vector_name(CreateVectorNameRequest) -> PointsOperationResponse;
        delete_vector_name(DeleteVectorNameRequest) -> PointsOperationResponse;
        search(SearchPoints) -> SearchResponse;
        search_batch(SearchBatchPoints) -> SearchBatchResponse;
        search_groups(SearchPointGroups) -> SearchGroupsResponse;
        recommend(RecommendPoints) -> RecommendResponse;
        recommend_batch(RecommendBatchPoints) -> RecommendBatchResponse;
        recommend_groups(RecommendPointGroups) -> RecommendGroupsResponse;
        discover(DiscoverPoints) -> DiscoverResponse;
        discover_batch(DiscoverBatchPoints) -> DiscoverBatchResponse;
        update_batch(UpdateBatchPoints) -> UpdateBatchResponse;
        query_batch(QueryBatchPoints) -> QueryBatchResponse;
        query_groups(QueryPointGroups) -> QueryGroupsResponse;
        facet(FacetCounts) -> FacetResponse;
        search_matrix_pairs(SearchMatrixPoints) -> SearchMatrixPairsResponse;
        search_matrix_offsets(SearchMatrixPoints) -> SearchMatrixOffsetsResponse;
    }
}
