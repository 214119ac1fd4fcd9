//! Blob storage on disk and on S3 through OpenDAL.
