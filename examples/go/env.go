package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// env reads settings from environment variables. A variable that is set to the empty text counts as unset.
// Mistakes are collected, so that one start of the program names all of them; ask err before using a value.
type env struct {
	getenv func(string) string
	set    map[string]string // the variables found set, with their text
	errs   []error
}

func newEnv(getenv func(string) string) *env {
	return &env{getenv: getenv, set: map[string]string{}}
}

// err is nil, or says of each malformed variable its name, its value and what is expected there.
func (e *env) err() error { return errors.Join(e.errs...) }

// text returns the variable's text, or unset if it has none.
func (e *env) text(name, unset string) string {
	value := e.getenv(name)
	if value == "" {
		return unset
	}
	e.set[name] = value
	return value
}

// millis returns a number of milliseconds, at least 1, as a duration, or unset. There is no way to ask for 0:
// it means "never" to some gRPC libraries and "at once" to others.
func (e *env) millis(name string, unset time.Duration) time.Duration {
	const most = math.MaxInt64 / int64(time.Millisecond)
	want := "a whole number of milliseconds above 0, such as 30000 (leave it unset for the default)"
	return time.Duration(e.number(name, int64(unset/time.Millisecond), most, want)) * time.Millisecond
}

// number returns a whole number from 1 to most, or unset; want tells the reader of an error what is expected.
func (e *env) number(name string, unset, most int64, want string) int64 {
	text := e.text(name, "")
	if text == "" {
		return unset
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || n > most {
		e.fail(name, text, want)
		return unset
	}
	return n
}

// flag returns whether the variable is "true"; unset is false.
func (e *env) flag(name string) bool {
	text := e.text(name, "false")
	if text != "true" && text != "false" {
		e.fail(name, text, "true or false")
	}
	return text == "true"
}

func (e *env) fail(name, value, want string) {
	e.errs = append(e.errs, fmt.Errorf("%s=%q: want %s", name, value, want))
}
