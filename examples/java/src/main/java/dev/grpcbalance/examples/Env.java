package dev.grpcbalance.examples;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.Strictness;
import com.google.gson.reflect.TypeToken;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.TreeMap;

/**
 * Reads settings from environment variables. A variable that is set to the empty text counts as unset. Mistakes are
 * collected, so that one start of the program names all of them; call check before using a value.
 */
final class Env {
    private static final Gson JSON = new GsonBuilder().setStrictness(Strictness.STRICT).create();

    private final Map<String, String> variables;
    private final Map<String, String> set = new TreeMap<>();
    private final List<String> mistakes = new ArrayList<>();

    Env(Map<String, String> variables) {
        this.variables = variables;
    }

    /** Says of each malformed variable its name, its value and what is expected there. */
    static final class MalformedException extends RuntimeException {
        MalformedException(String message) {
            super(message);
        }
    }

    void check() {
        if (!mistakes.isEmpty()) {
            throw new MalformedException(String.join("\n", mistakes));
        }
    }

    /** The variables found set, with their text. */
    Map<String, String> set() {
        return set;
    }

    Optional<String> text(String name) {
        Optional<String> text = Optional.ofNullable(variables.get(name)).filter(value -> !value.isEmpty());
        text.ifPresent(value -> set.put(name, value));
        return text;
    }

    /** A number of milliseconds, at least 1. There is no way to ask for 0: grpc-java throws at it, others differ. */
    OptionalLong millis(String name) {
        String want = "a whole number of milliseconds above 0, such as 30000 (leave it unset for the default)";
        return number(name, Long.MAX_VALUE / 1_000_000, want); // as nanoseconds it must fit a long
    }

    /** A whole number from 1 to most; want tells the reader of a mistake what is expected. */
    OptionalLong number(String name, long most, String want) {
        Optional<String> text = text(name);
        if (text.isEmpty()) {
            return OptionalLong.empty();
        }
        try {
            long number = Long.parseLong(text.get());
            if (number >= 1 && number <= most) {
                return OptionalLong.of(number);
            }
        } catch (NumberFormatException e) {
            // the same mistake as a number that is out of range
        }
        fail(name, text.get(), want);
        return OptionalLong.empty();
    }

    /** Whether the variable is "true"; unset is false. */
    boolean flag(String name) {
        String text = text(name).orElse("false");
        if (!text.equals("true") && !text.equals("false")) {
            fail(name, text, "true or false");
        }
        return text.equals("true");
    }

    /** A JSON object, in the types that grpc-java wants in a service config. */
    Optional<Map<String, Object>> json(String name) {
        Optional<String> text = text(name);
        try {
            return text.map(value -> JSON.fromJson(value, JsonObject.class))
                .map(object -> JSON.fromJson(object, new TypeToken<Map<String, Object>>() {}));
        } catch (JsonParseException e) {
            fail(name, text.get(), "a JSON object (" + e.getMessage() + ")");
            return Optional.empty();
        }
    }

    void fail(String name, String value, String want) {
        mistakes.add(name + "=\"" + value + "\": want " + want);
    }
}
