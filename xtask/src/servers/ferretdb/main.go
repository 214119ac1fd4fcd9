// Command ferretdb serves MongoDB's protocol over SQLite databases in a folder, for Lucida's tests.
//
// FerretDB 1.24 reads a document, changes it and writes it back without a lock, so that of two conditional updates
// at once both can succeed. MongoDB's are atomic, and the ledger relies on that: commands that change documents
// therefore pass a gate here, one at a time.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"io"
	"io/fs"
	"log"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:27017", "address to listen on")
	data := flag.String("data", "data", "folder of the databases, which must exist")
	flag.Parse()

	// In the folder of the data, so that a kill leaves nothing elsewhere.
	inner := filepath.Join(*data, "inner.sock")
	if err := os.Remove(inner); err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Fatal(err)
	}
	server, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{Unix: inner},
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		Handler:   "sqlite",
		SQLiteURL: "file:" + *data + "/",
	})
	if err != nil {
		log.Fatal(err)
	}
	outer, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var gate sync.Mutex
	go func() {
		for {
			client, err := outer.Accept()
			if err != nil {
				return
			}
			go serve(client, inner, &gate)
		}
	}()
	if err := server.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

// serve passes requests and answers on, one pair after the other, until either side closes.
func serve(client net.Conn, inner string, gate *sync.Mutex) {
	defer client.Close()
	server, err := net.Dial("unix", inner)
	if err != nil {
		log.Print(err)
		return
	}
	defer server.Close()
	for {
		request, err := message(client)
		if err != nil {
			return
		}
		answer, err := exchange(server, request, gate)
		if err != nil {
			return
		}
		if _, err := client.Write(answer); err != nil {
			return
		}
	}
}

// exchange sends a request and reads its answer, alone if it changes documents.
func exchange(server net.Conn, request []byte, gate *sync.Mutex) ([]byte, error) {
	switch command(request) {
	case "update", "findAndModify", "findandmodify", "delete", "insert":
		gate.Lock()
		defer gate.Unlock()
	}
	if _, err := server.Write(request); err != nil {
		return nil, err
	}
	return message(server)
}

// message reads one message: its first four bytes are its length.
func message(from net.Conn) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(from, length[:]); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(length[:])
	if size < 16 || size > 48<<20 {
		return nil, errors.New("no message of MongoDB's protocol")
	}
	whole := make([]byte, size)
	copy(whole, length[:])
	_, err := io.ReadFull(from, whole[4:])
	return whole, err
}

// command returns the name of an OP_MSG's command: the first key of the document in its first section.
func command(message []byte) string {
	const opMsg, firstKey = 2013, 16 + 4 + 1 + 4 + 1
	if len(message) <= firstKey || binary.LittleEndian.Uint32(message[12:]) != opMsg {
		return ""
	}
	for end := firstKey; end < len(message); end++ {
		if message[end] == 0 {
			return string(message[firstKey:end])
		}
	}
	return ""
}
