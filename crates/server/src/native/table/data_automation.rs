//! Operations of bedrock-data-automation and its runtime, which an operator may add. Those of the runtime share one
//! path, and a header names the operation.

use super::{OperationRow, row};
use bedrock::Kind::Unary;
use bedrock::Service::{DataAutomation, DataAutomationRuntime};

/// Source: botocore 1.44.8.
#[rustfmt::skip]
pub(super) const ROWS: &[OperationRow] = &[
    row("CopyBlueprintStage", "PUT", "/blueprints/{}/copy-stage", DataAutomation, Unary),
    row("CreateBlueprint", "PUT", "/blueprints/", DataAutomation, Unary),
    row("CreateBlueprintVersion", "POST", "/blueprints/{}/versions/", DataAutomation, Unary),
    row("CreateDataAutomationLibrary", "PUT", "/data-automation-libraries/", DataAutomation, Unary),
    row("CreateDataAutomationProject", "PUT", "/data-automation-projects/", DataAutomation, Unary),
    row("DeleteBlueprint", "DELETE", "/blueprints/{}/", DataAutomation, Unary),
    row("DeleteDataAutomationLibrary", "DELETE", "/data-automation-libraries/{}/", DataAutomation, Unary),
    row("DeleteDataAutomationProject", "DELETE", "/data-automation-projects/{}/", DataAutomation, Unary),
    row("GetBlueprint", "POST", "/blueprints/{}/", DataAutomation, Unary),
    row("GetBlueprintOptimizationStatus", "POST", "/getBlueprintOptimizationStatus/{}", DataAutomation, Unary),
    row("GetDataAutomationLibrary", "POST", "/data-automation-libraries/{}/", DataAutomation, Unary),
    row("GetDataAutomationLibraryEntity", "POST", "/data-automation-libraries/{}/entityType/{}/entities/{}", DataAutomation, Unary),
    row("GetDataAutomationLibraryIngestionJob", "POST", "/data-automation-libraries/{}/library-ingestion-jobs/{}", DataAutomation, Unary),
    row("GetDataAutomationProject", "POST", "/data-automation-projects/{}/", DataAutomation, Unary),
    row("InvokeBlueprintOptimizationAsync", "POST", "/invokeBlueprintOptimizationAsync", DataAutomation, Unary),
    row("InvokeDataAutomationLibraryIngestionJob", "PUT", "/data-automation-libraries/{}/library-ingestion-jobs/", DataAutomation, Unary),
    row("ListBlueprints", "POST", "/blueprints/", DataAutomation, Unary),
    row("ListDataAutomationLibraries", "POST", "/data-automation-libraries/", DataAutomation, Unary),
    row("ListDataAutomationLibraryEntities", "POST", "/data-automation-libraries/{}/entityType/{}/entities/", DataAutomation, Unary),
    row("ListDataAutomationLibraryIngestionJobs", "POST", "/data-automation-libraries/{}/library-ingestion-jobs/", DataAutomation, Unary),
    row("ListDataAutomationProjects", "POST", "/data-automation-projects/", DataAutomation, Unary),
    row("ListTagsForResource", "POST", "/listTagsForResource", DataAutomation, Unary),
    row("TagResource", "POST", "/tagResource", DataAutomation, Unary),
    row("UntagResource", "POST", "/untagResource", DataAutomation, Unary),
    row("UpdateBlueprint", "PUT", "/blueprints/{}/", DataAutomation, Unary),
    row("UpdateDataAutomationLibrary", "PUT", "/data-automation-libraries/{}/", DataAutomation, Unary),
    row("UpdateDataAutomationProject", "PUT", "/data-automation-projects/{}/", DataAutomation, Unary),
    row("GetDataAutomationStatus", "POST", "/", DataAutomationRuntime, Unary),
    row("InvokeDataAutomation", "POST", "/", DataAutomationRuntime, Unary),
    row("InvokeDataAutomationAsync", "POST", "/", DataAutomationRuntime, Unary),
    row("ListTagsForResource", "POST", "/", DataAutomationRuntime, Unary),
    row("TagResource", "POST", "/", DataAutomationRuntime, Unary),
    row("UntagResource", "POST", "/", DataAutomationRuntime, Unary),
];

/// Query parameters that these operations document.
pub(super) const QUERY: &[&str] = &["blueprintVersion"];
