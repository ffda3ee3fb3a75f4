// What Go's own transparency log (golang.org/x/mod/sumdb) makes of an exported log:
//
//	tlog -dir FOLDER -vkey FILE [-saved CHECKPOINT]
//
// Every line is hashed and every tile is read. Prints one JSON object: whether all fits, and if not, why and at which line.
package main

import (
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

type verdict struct {
	OK   bool   `json:"ok"`
	Size int64  `json:"size"`
	Line int64  `json:"line"`
	Why  string `json:"why"`
}

func say(v verdict) {
	json.NewEncoder(os.Stdout).Encode(v)
	os.Exit(0)
}

func refuse(line int64, format string, words ...interface{}) {
	say(verdict{Line: line, Why: fmt.Sprintf(format, words...)})
}

func read(path string) []byte {
	data, err := os.ReadFile(path)
	if err != nil {
		refuse(-1, "%v", err)
	}
	return data
}

// The tree that a checkpoint of this key speaks of.
func open(path string, verifier note.Verifier) tlog.Tree {
	signed, err := note.Open(read(path), note.VerifierList(verifier))
	if err != nil {
		refuse(-1, "%s: %v", path, err)
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		refuse(-1, "%s: it is no checkpoint of %s", path, verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		refuse(-1, "%s: %v", path, err)
	}
	hash, err := tlog.ParseHash(lines[2])
	if err != nil {
		refuse(-1, "%s: %v", path, err)
	}
	return tlog.Tree{N: size, Hash: hash}
}

// Tiles by the names of C2SP tlog-tiles: Go's have the height in them, and `data` for `entries`.
type tiles struct{ dir string }

func (t tiles) Height() int { return height }

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var data [][]byte
	for _, tile := range wanted {
		bytes, err := os.ReadFile(t.path(tile))
		if err != nil {
			return nil, err
		}
		data = append(data, bytes)
	}
	return data, nil
}

func (t tiles) path(tile tlog.Tile) string {
	name := strings.TrimPrefix(tile.Path(), "tile/8/")
	name = strings.Replace(name, "data/", "entries/", 1)
	return filepath.Join(t.dir, "tile", name)
}

// The lines of a bundle.
func bundle(data []byte, first int64) [][]byte {
	var lines [][]byte
	for len(data) > 0 {
		if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
			refuse(first+int64(len(lines)), "what stands here is no line")
		}
		length := int(binary.BigEndian.Uint16(data))
		lines = append(lines, data[2:2+length])
		data = data[2+length:]
	}
	return lines
}

func main() {
	dir := flag.String("dir", "", "an exported log")
	vkey := flag.String("vkey", "", "the file with its public key")
	saved := flag.String("saved", "", "a checkpoint from before")
	flag.Parse()
	verifier, err := note.NewVerifier(strings.TrimSpace(string(read(*vkey))))
	if err != nil {
		refuse(-1, "%v", err)
	}
	tree := open(filepath.Join(*dir, "checkpoint"), verifier)
	source := tiles{*dir}
	hashes := tlog.TileHashReader(tree, source)

	var stored []tlog.Hash
	own := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var list []tlog.Hash
		for _, index := range indexes {
			list = append(list, stored[index])
		}
		return list, nil
	})
	for first := int64(0); first < tree.N; first += 1 << height {
		width := tree.N - first
		if width > 1<<height {
			width = 1 << height
		}
		tile := tlog.Tile{H: height, L: -1, N: first >> height, W: int(width)}
		lines := bundle(read(source.path(tile)), first)
		tile.L = 0
		leaves := read(source.path(tile))
		for at, line := range lines {
			number := first + int64(at)
			if (at+1)*tlog.HashSize > len(leaves) {
				refuse(number, "there are more lines than hashes")
			}
			var kept tlog.Hash
			copy(kept[:], leaves[at*tlog.HashSize:])
			if tlog.RecordHash(line) != kept {
				refuse(number, "the line is not the one whose hash is in the tree")
			}
			more, err := tlog.StoredHashes(number, line, own)
			if err != nil {
				refuse(number, "%v", err)
			}
			stored = append(stored, more...)
		}
		if int64(len(lines)) != width {
			refuse(first+int64(len(lines)), "%d lines are missing", width-int64(len(lines)))
		}
	}
	root, err := tlog.TreeHash(tree.N, own)
	if err != nil || root != tree.Hash {
		refuse(-1, "the lines have the root %v, and %v was signed", root, tree.Hash)
	}

	// By the tiles alone: proofs of some lines, and of growth.
	for number := int64(0); number < tree.N; number += 1 + tree.N/97 {
		proof, err := tlog.ProveRecord(tree.N, number, hashes)
		if err == nil {
			err = tlog.CheckRecord(proof, tree.N, tree.Hash, number, stored[tlog.StoredHashIndex(0, number)])
		}
		if err != nil {
			refuse(number, "%v", err)
		}
	}
	if *saved != "" {
		before := open(*saved, verifier)
		if before.N > tree.N {
			refuse(-1, "the saved checkpoint covers %d lines, and there are %d", before.N, tree.N)
		}
		proof, err := tlog.ProveTree(tree.N, before.N, hashes)
		if err == nil {
			err = tlog.CheckTree(proof, tree.N, tree.Hash, before.N, before.Hash)
		}
		if err != nil {
			refuse(-1, "it is not the saved one grown: %v", err)
		}
	}
	say(verdict{OK: true, Size: tree.N, Line: -1})
}
