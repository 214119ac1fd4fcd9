// Makes the replica set and Lucida's user, who may do what it likes in Lucida's database and nothing elsewhere.
// Run by mongosh in the service `mongodb-init`; running it again changes nothing.
const read = (name) => require("fs").readFileSync(`/run/secrets/${name}`, "utf8").trim();

// Not by connecting to the set, which isn't there yet.
const admin = connect("mongodb://mongodb:27017/admin?directConnection=true");
admin.auth("root", read("mongodb_root_password"));

try {
    admin.adminCommand({ replSetGetStatus: 1 });
} catch (error) {
    if (error.codeName !== "NotYetInitialized") throw error;
    admin.adminCommand({
        replSetInitiate: { _id: "rs0", members: [{ _id: 0, host: "mongodb:27017" }] },
    });
}
while (!admin.hello().isWritablePrimary) sleep(200);

const lucida = admin.getSiblingDB("lucida");
if (lucida.getUser("lucida") === null) {
    lucida.createUser({
        user: "lucida",
        pwd: read("mongodb_password"),
        roles: [{ role: "readWrite", db: "lucida" }],
    });
}
