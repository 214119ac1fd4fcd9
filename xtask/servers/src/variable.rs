//! The environment variables by which tests find servers and programs.

/// Where MinIO answers, such as `http://127.0.0.1:21000`.
pub const S3_ENDPOINT: &str = "LUCIDA_TEST_S3_ENDPOINT";

/// Where SeaweedFS answers; its keys and its bucket are those of MinIO.
pub const SEAWEEDFS_ENDPOINT: &str = "LUCIDA_TEST_SEAWEEDFS_ENDPOINT";

/// The access key of both object stores.
pub const S3_ACCESS_KEY_ID: &str = "LUCIDA_TEST_S3_ACCESS_KEY_ID";

/// The secret key of both object stores.
pub const S3_SECRET_ACCESS_KEY: &str = "LUCIDA_TEST_S3_SECRET_ACCESS_KEY";

/// The bucket that both object stores have.
pub const S3_BUCKET: &str = "LUCIDA_TEST_S3_BUCKET";

/// Where MongoDB or FerretDB answers, such as `mongodb://127.0.0.1:21001/`.
pub const MONGODB_URI: &str = "LUCIDA_TEST_MONGODB_URI";

/// Where RabbitMQ answers, with user and password.
pub const RABBITMQ_URI: &str = "LUCIDA_TEST_RABBITMQ_URI";

/// Where a Qdrant answers.
pub const QDRANT_URL: &str = "LUCIDA_TEST_QDRANT_URL";

/// Where the stand-in for Qdrant answers.
pub const QDRANT_STAND_IN: &str = "LUCIDA_TEST_QDRANT_STAND_IN";

/// `0` leaves Docker alone: all servers are programs.
pub const DOCKER: &str = "LUCIDA_TEST_DOCKER";

/// The folder of the programs, for tests that start servers of their own.
pub const SERVERS: &str = "LUCIDA_TEST_SERVERS";

/// The program of the stand-in for Qdrant, which this checkout builds.
pub const QDRANT_STAND_IN_PROGRAM: &str = "LUCIDA_TEST_QDRANT_STAND_IN_PROGRAM";
